"""Copy arrays between CPU memory and the memory of a device."""

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


class Transfers:
    """Copies data to and from one device, synchronously. If it is the CPU, nothing is copied."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def host_memory(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return an uninitialised tensor in CPU memory, to be filled and uploaded once."""
        return torch.empty(shape, dtype=dtype)

    def upload(self, host: Tensor) -> Tensor:
        """Return the tensor on the device. Work that is launched after this call can use it."""
        return host.to(self.device)

    def download(self, tensor: Tensor) -> Callable[[], Array]:
        """Start a download, and return a function that waits for it and returns the array."""
        array: Array = tensor.cpu().numpy()
        return lambda: array


class CudaTransfers(Transfers):
    """Uploads on one CUDA stream and downloads on another, through page-locked memory.

    Both can run while the device computes on its current stream.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        make: Any = torch.cuda.Stream
        self._up, self._down = make(device), make(device)

    def host_memory(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return an uninitialised tensor from torch's cache of page-locked memory."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def upload(self, host: Tensor) -> Tensor:
        """Start an upload. Only work that is launched after this call waits for it."""
        with torch.cuda.stream(self._up):
            tensor = host.to(self.device, non_blocking=True)
        work = torch.cuda.current_stream(self.device)
        work.wait_stream(self._up)
        # Without this, torch could reuse the tensor's memory for an upload before `work` is done.
        tensor.record_stream(work)
        return tensor

    def download(self, tensor: Tensor) -> Callable[[], Array]:
        """Start a download. It waits for work launched so far, but does not delay later work."""
        host = self.host_memory(tuple(tensor.shape), tensor.dtype)
        self._down.wait_stream(torch.cuda.current_stream(self.device))
        tensor.record_stream(self._down)
        with torch.cuda.stream(self._down):
            host.copy_(tensor, non_blocking=True)
            landed = self._down.record_event()

        def arrived() -> Array:
            landed.synchronize()
            array: Array = host.numpy()
            return array

        return arrived


def transfers_for(device: torch.device) -> Transfers:
    """Return the fastest kind of transfers that a device supports."""
    return CudaTransfers(device) if device.type == "cuda" else Transfers(device)
