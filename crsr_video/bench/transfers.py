"""What copies between a processor and its GPU take, each step by itself.

In earnest copies overlap with computing. Here every step is waited for, so that its time is its
own; what overlapping gains is the difference from the whole.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from crsr_video.runtime.backends.cuda import CudaLanes, Forward, Images, Lanes, Streamed
from crsr_video.runtime.batches import Predictor
from crsr_video.stages.on_device.copies import Copies

_COPY = re.compile(r"Memcpy (HtoD|DtoH)")
"""How CUPTI names copies to a GPU and from it."""

_UNDER_WAY = 2
"""Batches that may be on their way down while the next is computed."""


@dataclass(frozen=True, slots=True)
class Transfers:
    """Milliseconds of one batch through both networks."""

    upload_ms: float
    compute_ms: float
    download_ms: float

    @property
    def share(self) -> float:
        """Of the copies, in all."""
        copies = self.upload_ms + self.download_ms
        return copies / max(copies + self.compute_ms, 1e-9)


class Stopwatch:
    """Streams on which everything is waited for, and timed.

    Args: lanes: what they really are.
          wait: until the device has nothing left to do.
    """

    def __init__(self, lanes: Lanes, wait: Callable[[], None]) -> None:
        self._lanes, self._wait = lanes, wait
        self.seconds = {"upload": 0.0, "compute": 0.0, "download": 0.0}

    def pinned(self, host: Tensor) -> Tensor:
        """A copy that the processor makes, on the way up."""
        with self._timed("upload"):
            return self._lanes.pinned(host)

    def empty(self, shape: torch.Size) -> Tensor:
        """As it is."""
        return self._lanes.empty(shape)

    def going_up(self) -> AbstractContextManager[object]:
        """Timed as upload."""
        return self._timed("upload", self._lanes.going_up())

    def computing(self, x: Tensor) -> AbstractContextManager[object]:
        """Timed as computing."""
        return self._timed("compute", self._lanes.computing(x))

    def going_down(self, x: Tensor) -> AbstractContextManager[object]:
        """Timed as download."""
        return self._timed("download", self._lanes.going_down(x))

    def wait(self) -> None:
        """For everything."""
        self._lanes.wait()

    @contextmanager
    def _timed(
        self, part: str, inside: AbstractContextManager[object] | None = None
    ) -> Iterator[None]:
        self._wait()
        begin = time.perf_counter()
        if inside is None:
            yield
        else:
            with inside:
                yield
        self._wait()
        self.seconds[part] += time.perf_counter() - begin


def chained(first: Predictor, second: Predictor) -> Forward:
    """Both networks on tensors of their device, as the pipeline clips between them."""
    return lambda x: second.tensors(first.tensors(x).clamp(0, 1))


class Flow:
    """Batches one after another, each computed at once, with the copies of one beside the next.

    Args: forward: on the device.
          ways: to and from it.
    """

    def __init__(self, forward: Forward, ways: Copies) -> None:
        self._forward, self._ways = forward, ways

    def __call__(self, images: Images) -> Images:
        """One batch, float32 (N, 3, S, S) in [0, 1] to float32 (N, 3, fS, fS)."""
        return self.many(images, 1)

    def many(self, images: Images, count: int) -> Images:
        """The same batch several times; returns the last result."""
        landing: deque[Callable[[], Images]] = deque()
        done = images
        for _ in range(count):
            host = self._ways.blank(images.shape, torch.float32)
            host.numpy()[...] = images
            landing.append(self._ways.down(self._forward(self._ways.up(host))))
            if len(landing) > _UNDER_WAY:
                done = landing.popleft()()
        for land in landing:
            done = land()
        return done


def measure(forward: Forward, device: torch.device, images: Images, runs: int) -> Transfers:
    """Medians of one batch on a CUDA device.

    Args: images: float32 (N, 3, S, S) in [0, 1].
    """
    watch = Stopwatch(CudaLanes(device), lambda: torch.cuda.synchronize(device))
    run = Streamed(forward, device, lanes=watch, part=len(images))
    return timed(run, watch, images, runs)


def timed(run: Streamed, watch: Stopwatch, images: Images, runs: int) -> Transfers:
    """Medians of what a stopwatch tells of a batch."""
    told: list[dict[str, float]] = []
    for _ in range(1 + runs):  # the first warms up
        watch.seconds = dict.fromkeys(watch.seconds, 0.0)
        run(images)
        told.append(watch.seconds)
    middle = {part: 1000 * median(one[part] for one in told[1:]) for part in told[0]}
    return Transfers(middle["upload"], middle["compute"], middle["download"])


def copied_ms(act: Callable[[], object]) -> float | None:
    """Milliseconds for which a GPU copied to and from the processor's memory, by its own counters.

    Other work may go on meanwhile, on both sides.
    Args:    act: what is looked at.
    Returns: None: the counters may not be read here.
    """
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        act()
    return copies_ms((one.key, one.self_device_time_total) for one in profile.key_averages())


def copies_ms(events: Iterable[tuple[str, float]]) -> float | None:
    """Of all that was done, the copies; None if there are none, since without them nothing is.

    Args: events: names as CUPTI has them, and microseconds.
    """
    copies = [spent for name, spent in events if _COPY.match(name)]
    return sum(copies) / 1000 if copies else None
