"""Copies between a device and the processor's memory, beside the device's work where it can."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


class Copies(Protocol):
    """To and from one device."""

    device: torch.device

    def blank(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory of the processor's to be filled and sent up once, with anything in it."""

    def up(self, host: Tensor) -> Tensor:
        """On the device; what is computed from now on finds it there."""

    def down(self, tensor: Tensor) -> Callable[[], Array]:
        """Begins the way down; what is returned waits for its end."""


class PlainCopies:
    """One thing after the other; on a CPU, nothing is copied."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def blank(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Plain memory."""
        return torch.empty(shape, dtype=dtype)

    def up(self, host: Tensor) -> Tensor:
        """At once."""
        return host.to(self.device)

    def down(self, tensor: Tensor) -> Callable[[], Array]:
        """At once."""
        array: Array = tensor.cpu().numpy()
        return lambda: array


class CudaCopies:
    """Up on one stream, down on another, through page-locked memory; work is on the current one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        make: Any = torch.cuda.Stream
        self._up, self._down = make(device), make(device)

    def blank(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """From torch's cache of page-locked memory."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def up(self, host: Tensor) -> Tensor:
        """The processor goes on; the device's later work waits, its earlier work goes on too."""
        with torch.cuda.stream(self._up):
            tensor = host.to(self.device, non_blocking=True)
        work = torch.cuda.current_stream(self.device)
        work.wait_stream(self._up)
        tensor.record_stream(work)  # Its memory is the other stream's: not before work is done.
        return tensor

    def down(self, tensor: Tensor) -> Callable[[], Array]:
        """As soon as what was launched so far is done, beside what is launched later."""
        host = self.blank(tuple(tensor.shape), tensor.dtype)
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


def copies(device: torch.device) -> Copies:
    """Those that suit a device."""
    return CudaCopies(device) if device.type == "cuda" else PlainCopies(device)


def numbers(ways: Copies, values: Any) -> Tensor:
    """Nested lists of numbers as float32 on the device."""
    array = np.asarray(values, np.float32)
    host = ways.blank(array.shape, torch.float32)
    host.numpy()[...] = array
    return ways.up(host)
