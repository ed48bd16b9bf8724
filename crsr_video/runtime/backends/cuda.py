"""Networks on a CUDA device that are given numpy: copies that overlap with computing.

A batch goes up, through the network and down in parts, each step on a stream of its own, from and
to page-locked memory: while one part is computed, the next is on its way.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Images = NDArray[np.float32]
Forward = Callable[[Tensor], Tensor]

_PART = 8
"""Crops that are on their way together: enough to fill a GPU, few enough to overlap."""


class Lanes(Protocol):
    """The streams of a device, or what stands in for them."""

    def pinned(self, host: Tensor) -> Tensor:
        """A copy of host memory that can be copied from while the processor goes on."""

    def empty(self, shape: torch.Size) -> Tensor:
        """The same, to be copied into: float32."""

    def going_up(self) -> AbstractContextManager[object]:
        """What is launched inside goes up."""

    def computing(self, x: Tensor) -> AbstractContextManager[object]:
        """What is launched inside waits for all that went up, and uses `x`."""

    def going_down(self, x: Tensor) -> AbstractContextManager[object]:
        """What is launched inside waits for all that was computed, and uses `x`."""

    def wait(self) -> None:
        """Until everything has come down."""


class CudaLanes:
    """Three streams of one device."""

    def __init__(self, device: torch.device) -> None:
        make: Any = torch.cuda.Stream
        self._up, self._middle, self._down = make(device), make(device), make(device)

    def pinned(self, host: Tensor) -> Tensor:
        """From torch's cache of page-locked memory."""
        return host.pin_memory()

    def empty(self, shape: torch.Size) -> Tensor:
        """From torch's cache of page-locked memory."""
        return torch.empty(shape, dtype=torch.float32, pin_memory=True)

    def going_up(self) -> AbstractContextManager[object]:
        """On the stream of uploads."""
        return torch.cuda.stream(self._up)

    def computing(self, x: Tensor) -> AbstractContextManager[object]:
        """On the stream of work."""
        return self._after(self._up, self._middle, x)

    def going_down(self, x: Tensor) -> AbstractContextManager[object]:
        """On the stream of downloads."""
        return self._after(self._middle, self._down, x)

    def wait(self) -> None:
        """For the last download, and so for all before it."""
        self._down.synchronize()

    @staticmethod
    def _after(
        first: torch.cuda.Stream, then: torch.cuda.Stream, x: Tensor
    ) -> AbstractContextManager[object]:
        then.wait_stream(first)
        x.record_stream(then)  # its memory must not be given away while `then` uses it
        return torch.cuda.stream(then)


class NoLanes:
    """The same on a device without streams: one thing after the other."""

    def pinned(self, host: Tensor) -> Tensor:
        """As it is."""
        return host

    def empty(self, shape: torch.Size) -> Tensor:
        """Plain memory."""
        return torch.empty(shape, dtype=torch.float32)

    def going_up(self) -> AbstractContextManager[object]:
        """At once."""
        return nullcontext()

    def computing(self, x: Tensor) -> AbstractContextManager[object]:
        """At once."""
        del x
        return nullcontext()

    def going_down(self, x: Tensor) -> AbstractContextManager[object]:
        """At once."""
        del x
        return nullcontext()

    def wait(self) -> None:
        """Nothing is under way."""


class Streamed:
    """A forward pass with copies beside it; numpy in, numpy out.

    Args: forward: on the device, (N, 3, H, W) to (N, 3, fH, fW).
          way: how that is computed, in words.
          lanes: None: the device's streams if it has any.
          part: crops that travel together.
    """

    def __init__(
        self,
        forward: Forward,
        device: torch.device,
        *,
        way: str = "",
        lanes: Lanes | None = None,
        part: int = _PART,
    ) -> None:
        self.way = way
        self.forward, self._device, self._part = forward, device, part
        self._lanes = lanes or (CudaLanes(device) if device.type == "cuda" else NoLanes())

    def __call__(self, images: Images) -> Images:
        """Forward pass of a whole batch."""
        source = self._lanes.pinned(torch.from_numpy(images))
        result: Tensor | None = None
        for first in range(0, len(images), self._part):
            with self._lanes.going_up():
                x = source[first : first + self._part].to(self._device, non_blocking=True)
            with self._lanes.computing(x):
                y = self.forward(x).float().contiguous()
            if result is None:
                result = self._lanes.empty(torch.Size((len(images), *y.shape[1:])))
            with self._lanes.going_down(y):
                result[first : first + self._part].copy_(y, non_blocking=True)
        self._lanes.wait()
        assert result is not None, "an empty batch"
        # A copy, since the page-locked memory is lent to the next batch when this tensor goes.
        done: Images = result.numpy().copy()
        return done
