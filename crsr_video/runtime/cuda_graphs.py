"""Start all kernels of a network at once on a CUDA device.

A small batch leaves a GPU idle between a hundred short kernels. A CUDA graph is recorded once for
each shape, and then starts all of them together.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from crsr_video.errors import first_lines
from crsr_video.runtime.measurements import measured_once

Forward = Callable[[Tensor], Tensor]

STEP_BY_STEP, RECORDED = "step by step", "recorded"
"""Names of the two ways to launch kernels."""

FEW, MANY = 1, 16
"""Number of crops in the batches that are measured."""
_FEW_AT_MOST = 4
"""Larger batches are launched in the way that is faster for many crops."""

_LARGEST_BATCH = 64
"""Number of crops in the largest recorded batch."""
_WARM_UP = 3
_RUNS = 20
_NEVER = 1e9
"""Time in seconds that stands for a way that does not work."""

_LOG = logging.getLogger(__name__)


class RecordedForward:
    """A forward pass that is recorded once for each shape.

    All shapes share their memory: one recording runs at a time, and its result is copied. Batches
    are split into powers of two, so that few shapes are recorded. After recording has failed once,
    the forward pass is launched step by step.
    """

    def __init__(self, forward: Forward, largest: int = _LARGEST_BATCH) -> None:
        self._forward = forward
        self._largest = largest
        self._graphs: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}
        self._pool: Any = None
        self._works = True

    def __call__(self, x: Tensor) -> Tensor:
        """Run a batch of any size."""
        if self._works:
            try:
                sizes = powers(len(x), self._largest)
                parts = [self.run(part.contiguous()) for part in x.split_with_sizes(sizes)]
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            except RuntimeError as error:
                _LOG.info("CUDA graphs fail from now on: %s", first_lines(error, 1))
                self._works = False
        return self._forward(x)

    def run(self, x: Tensor) -> Tensor:
        """Replay the recording of this shape, and make it first if there is none."""
        if x.shape not in self._graphs:
            self._graphs[x.shape] = self._record(x)
        graph, given, result = self._graphs[x.shape]
        with torch.cuda.device(x.device):
            given.copy_(x)
            graph.replay()
            return result.clone()  # The next replay writes into the same memory.

    def _record(self, x: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        given = x.clone()
        for _ in range(_WARM_UP):  # Libraries choose their kernels, which must not be recorded.
            self._forward(given)
        torch.cuda.synchronize(x.device)
        graph = torch.cuda.CUDAGraph()
        make: Any = torch.cuda.Stream
        # Other threads may use the device at the same time, for example to decode.
        recording = torch.cuda.graph(
            graph, self._pool, make(x.device), capture_error_mode="thread_local"
        )
        with torch.cuda.device(x.device), recording:
            result = self._forward(given)
        self._pool = graph.pool()
        return graph, given, result


def powers(count: int, largest: int) -> list[int]:
    """Split a number into powers of two, none above `largest`, in descending order."""
    sizes = [largest] * (count // largest)
    rest = count % largest
    return sizes + [1 << bit for bit in reversed(range(rest.bit_length())) if rest >> bit & 1]


def fastest_launch(
    forward: Forward,
    recorded: Forward,
    sample: Tensor,
    subject: str,
    seconds: Callable[[Forward, Tensor], float] | None = None,
) -> tuple[str, Forward]:
    """Return the faster way for a few crops and for many, measured once per machine.

    Args:
        forward: Runs the network kernel by kernel.
        recorded: Runs the same network as a recording.
        sample: One picture, (1, 3, S, S).
        subject: Device, network and versions, on which the result depends.
        seconds: Measures one way on one batch. Defaults to `seconds_per_pass`.

    Returns:
        The name of the way, and the forward pass.
    """
    measure = seconds or seconds_per_pass

    def figures() -> list[float]:
        batches = [sample.expand(count, -1, -1, -1).contiguous() for count in (FEW, MANY)]
        return [
            _seconds_or_never(measure, way, batch)
            for batch in batches
            for way in (forward, recorded)
        ]

    few_plain, few_recorded, many_plain, many_recorded = measured_once(
        "cuda-launch", subject, 4, figures
    )
    few = RECORDED if few_recorded < few_plain else STEP_BY_STEP
    many = RECORDED if many_recorded < many_plain else STEP_BY_STEP
    ways = {STEP_BY_STEP: forward, RECORDED: recorded}
    if few == many:
        return few, ways[few]

    def by_count(x: Tensor) -> Tensor:
        return ways[few if len(x) <= _FEW_AT_MOST else many](x)

    return f"{few} for few, {many} for many", by_count


def _seconds_or_never(
    measure: Callable[[Forward, Tensor], float], way: Forward, batch: Tensor
) -> float:
    try:
        return measure(way, batch)
    except RuntimeError as error:
        _LOG.info("a way to launch kernels does not work here: %s", first_lines(error, 1))
        return _NEVER


def seconds_per_pass(way: Forward, batch: Tensor) -> float:
    """Return the mean time of a pass in seconds, measured after a warm-up."""
    for _ in range(_WARM_UP):
        way(batch)
    torch.cuda.synchronize(batch.device)
    begin = time.perf_counter()
    for _ in range(_RUNS):
        way(batch)
    torch.cuda.synchronize(batch.device)
    return (time.perf_counter() - begin) / _RUNS
