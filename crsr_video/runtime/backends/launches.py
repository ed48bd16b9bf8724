"""How the many kernels of a network are started on a CUDA device, and which way is the fastest.

A small batch leaves a GPU idle between a hundred short kernels. A recording (a CUDA graph) starts
them all at once; `torch.compile` makes fewer of them, but takes a minute for that in a new process.
"""

import copy
import importlib.util
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crsr_video.networks.blocks import Hourglass
from crsr_video.runtime.remembered import remembered

Forward = Callable[[Tensor], Tensor]

PLAIN, RECORDED, COMPILED = "step by step", "recorded", "compiled and recorded"
"""Names of the ways."""

FEW, MANY = 1, 16
"""Crops of the batches that are measured."""
_FEW_AT_MOST = 4
"""Larger batches go the way that is the fastest for many."""

_LARGEST = 64
"""Crops of the largest recording."""
_GAIN = 1.2
"""A compiled network must be so much faster: it costs a minute at its first use."""
_WARM_UP = 3
_RUNS = 20

_LOG = logging.getLogger(__name__)


class Recorded:
    """A forward pass whose launches are recorded once for each shape, as a CUDA graph.

    All shapes share their memory: one recording runs at a time, and its result is copied.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._graphs: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}
        self._pool: Any = None

    def __call__(self, x: Tensor) -> Tensor:
        """The recording of this shape, made now if there is none."""
        if x.shape not in self._graphs:
            self._graphs[x.shape] = self._record(x)
        graph, given, result = self._graphs[x.shape]
        with torch.cuda.device(x.device):
            given.copy_(x)
            graph.replay()
            return result.clone()  # the next replay writes into the same memory

    def _record(self, x: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        given = x.clone()
        for _ in range(_WARM_UP):  # libraries choose their kernels, which must not be recorded
            self._forward(given)
        torch.cuda.synchronize(x.device)
        graph = torch.cuda.CUDAGraph()
        make: Any = torch.cuda.Stream
        # Other threads may use the device meanwhile, to decode say: they do not disturb it.
        recording = torch.cuda.graph(
            graph, self._pool, make(x.device), capture_error_mode="thread_local"
        )
        with torch.cuda.device(x.device), recording:
            result = self._forward(given)
        self._pool = graph.pool()
        return graph, given, result


class InParts:
    """A forward pass that sees batches of 1, 2, 4, ... only, so that few shapes are recorded."""

    def __init__(self, forward: Forward, largest: int = _LARGEST) -> None:
        self._forward, self._largest = forward, largest

    def __call__(self, x: Tensor) -> Tensor:
        """Any batch."""
        sizes = powers(len(x), self._largest)
        if len(sizes) == 1:
            return self._forward(x)
        return torch.cat([self._forward(part.contiguous()) for part in torch.split(x, sizes)])


def powers(count: int, largest: int) -> list[int]:
    """A number as a sum of powers of two, none above `largest`; in falling order."""
    sizes = [largest] * (count // largest)
    rest = count % largest
    return sizes + [1 << bit for bit in reversed(range(rest.bit_length())) if rest >> bit & 1]


class Compiled:
    """A network with its trunk as `torch.compile` makes it, for any batch and size.

    The trunk is nearly all of the work. What surrounds it keeps constants on the device, which
    the compiler would make anew, and copy, at every call.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._compiled: Forward | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Compiled at the first call.

        Raises: RuntimeError: that does not work here, for any of a hundred reasons.
        """
        try:
            if self._compiled is None:  # Only now: the compiler's own import takes seconds.
                self._compiled = _compiled(self._network)
            return self._compiled(x.contiguous(memory_format=torch.channels_last))
        except Exception as error:
            raise RuntimeError(f"torch.compile: {_first_line(error)}") from error


def _compiled(network: nn.Module) -> Forward:
    """A copy: the network itself is run in other ways too."""
    network = copy.deepcopy(network)
    for name, part in network.named_children():
        if isinstance(part, Hourglass):
            setattr(network, name, torch.compile(part, dynamic=True))
    return network


class Guarded:
    """A way that may fail at a shape that it has not seen yet; from then on another is taken."""

    def __init__(self, name: str, way: Forward, plain: Forward) -> None:
        self.name, self._way, self._plain = name, way, plain

    def __call__(self, x: Tensor) -> Tensor:
        """By the one or the other."""
        if self._way is not self._plain:
            try:
                return self._way(x)
            except RuntimeError as error:
                _LOG.info("the %s way fails now: %s", self.name, _first_line(error))
                self._way = self._plain
        return self._plain(x)


class ByCount:
    """Small batches one way, large ones another."""

    def __init__(self, few: Forward, many: Forward) -> None:
        self._few, self._many = few, many

    def __call__(self, x: Tensor) -> Tensor:
        """By the size of the batch."""
        return (self._few if len(x) <= _FEW_AT_MOST else self._many)(x)


def can_compile() -> bool:
    """Whether there is a compiler for GPUs."""
    return hasattr(torch, "compile") and importlib.util.find_spec("triton") is not None


def launched(
    network: nn.Module,
    plain: Forward,
    sample: Tensor,
    subject: str,
    *,
    compiling: bool = False,
    seconds: Callable[[Forward, Tensor], float] | None = None,
) -> tuple[str, Forward]:
    """The fastest way in words, and what takes it: one for a few crops, one for many.

    Args: network: where it is to run; `plain` runs it kernel by kernel.
          sample: one picture, (1, 3, S, S).
          subject: device, network and versions: what the outcome depends on.
          compiling: try the compiled network too, unless that was done before. Without, it is
          taken only where it was tried before and paid.
          seconds: measures one way.
    """
    ways: dict[str, Forward] = {PLAIN: plain, RECORDED: InParts(Recorded(plain))}
    thorough = ways | {COMPILED: InParts(Recorded(Compiled(network)))} if can_compile() else ways
    chosen = []
    for count in (FEW, MANY):
        batch = sample.expand(count, -1, -1, -1).contiguous()
        about = f"{subject}, {count} at once"
        known = compiling or _was_asked(about, list(thorough))
        chosen.append(quickest(thorough if known else ways, batch, about, seconds))
    few, many = chosen
    if few.name == many.name:
        return few.name, few
    return f"{few.name} for few, {many.name} for many", ByCount(few, many)


def quickest(
    ways: Mapping[str, Forward],
    sample: Tensor,
    subject: str,
    seconds: Callable[[Forward, Tensor], float] | None = None,
) -> Guarded:
    """The fastest of several ways to the same result, measured once on a machine.

    Args: ways: by name; the first is the one that always works.
          sample: what is measured with.
          subject: device, network and versions: what the outcome depends on.
          seconds: measures one way; a way that fails is not taken.
    Returns: it, or the first from where it fails on.
    """
    names = list(ways)
    measure = seconds or _seconds

    def figures() -> list[float]:
        return [_or_never(measure, ways[name], sample, name) for name in names]

    found = remembered(*_question(subject, names), figures)
    costs = [f * _GAIN if n == COMPILED else f for n, f in zip(names, found, strict=True)]
    chosen = names[int(np.argmin(costs))]
    return Guarded(chosen, ways[chosen], ways[names[0]])


def _or_never(
    measure: Callable[[Forward, Tensor], float], way: Forward, sample: Tensor, name: str
) -> float:
    try:
        return measure(way, sample)
    except RuntimeError as error:
        _LOG.info("the %s way does not work here: %s", name, _first_line(error))
        return 1e9


def _seconds(way: Forward, sample: Tensor) -> float:
    """For one pass, the mean of some after a few."""
    for _ in range(_WARM_UP):
        way(sample)
    torch.cuda.synchronize(sample.device)
    begin = time.perf_counter()
    for _ in range(_RUNS):
        way(sample)
    torch.cuda.synchronize(sample.device)
    return (time.perf_counter() - begin) / _RUNS


def _question(subject: str, names: Sequence[str]) -> tuple[str, str, int]:
    """Under which the answer is remembered."""
    return "network-way", f"{subject} {' '.join(names)}", len(names)


def _was_asked(subject: str, names: Sequence[str]) -> bool:
    """Whether these ways were measured before."""

    def never() -> list[float]:
        raise LookupError

    try:
        return bool(remembered(*_question(subject, names), never))
    except LookupError:
        return False


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
