"""Copies between the processor's memory and a device's."""

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


class Transfers:
    """Copies to and from one device, one after the other. On a CPU nothing is copied."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def host_memory(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return uninitialised memory of the processor, to be filled and uploaded once."""
        return torch.empty(shape, dtype=dtype)

    def upload(self, host: Tensor) -> Tensor:
        """Return the values on the device, ready for what is computed from now on."""
        return host.to(self.device)

    def download(self, tensor: Tensor) -> Callable[[], Array]:
        """Begin a download, and return a function that waits for the values."""
        array: Array = tensor.cpu().numpy()
        return lambda: array


class CudaTransfers(Transfers):
    """Uploads on one stream and downloads on another, through page-locked memory.

    The device computes on its current stream at the same time.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        make: Any = torch.cuda.Stream
        self._up, self._down = make(device), make(device)

    def host_memory(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return memory from torch's cache of page-locked memory."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def upload(self, host: Tensor) -> Tensor:
        """Start the upload; only the device's later work waits for it."""
        with torch.cuda.stream(self._up):
            tensor = host.to(self.device, non_blocking=True)
        work = torch.cuda.current_stream(self.device)
        work.wait_stream(self._up)
        tensor.record_stream(work)  # The upload stream's allocator must not reuse it before that.
        return tensor

    def download(self, tensor: Tensor) -> Callable[[], Array]:
        """Start the download after the work launched so far, beside what is launched later."""
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
    """Return the fastest transfers for a device."""
    return CudaTransfers(device) if device.type == "cuda" else Transfers(device)
