"""Where segments begin: decided from the source alone, the same on every machine."""

import os
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from crsr_video import pipeline
from crsr_video.config import Config, Precision
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.jobs.segments import facts, media

SEGMENT = 600
"""Frames: so much work is lost by a crash, at most; the warm-up costs a share of it."""
WARM_UP = 48
"""Frames before a segment. Measured against runs without segments: where a file of tracks tells
the faces, no pixel differs. Where they are looked for, changed pixels differ by 0 to 4 codes of 255
RMS at the joint, by clip and not by length (24 to 96): a tracker that looks now and then never
sees quite the same again, and small walking faces least."""
_LEAST = 2
"""Frames: two segments of one frame each would look like one picture in two parts to H.264."""
MAX_THREADS = 16
"""Of the encoder: what x265 takes at most. Left to itself it would take as many as there are cores,
but the machine that goes on may have others, and the result depends on them."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A unit of work. Times are in ticks of the source's video, on its own clock."""

    number: int
    """Counted from zero."""
    begin: int | None
    """Of the first frame; None: the first there is."""
    end: int | None
    """From which on frames belong to the next segment; None: to the last."""
    warm: int | None
    """Of the first frame to look at; None: the first there is."""
    frames: int
    """As the source's packets say; what decodes may be less."""

    def holds(self, pts: int) -> bool:
        """Whether a frame is one of the segment's own."""
        return (self.begin is None or pts >= self.begin) and (self.end is None or pts < self.end)

    def before(self, pts: int) -> bool:
        """Whether a frame belongs to the warm-up."""
        return self.begin is not None and pts < self.begin


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a worker must know; can be sent to other machines."""

    source: Path
    output: Path
    config: Config
    """With device and precision settled, so that all workers compute alike."""
    threads: int
    """Of the encoder, for results depend on them."""
    seek: bool
    """Whether the source may be entered in the middle; else each worker reads from its start."""
    begin: int | None
    """Time of the first frame wanted; None: the first there is."""
    end: int | None
    """Time from which on no frame is wanted; None: to the end."""
    segments: tuple[Segment, ...]
    versions: dict[str, str]
    """Of what computes: a worker with others would compute something else."""

    @property
    def frames(self) -> int:
        """In all, as the source's packets say."""
        return sum(segment.frames for segment in self.segments)


def plan(
    source: str | Path,
    config: Config | None = None,
    output: str | Path | None = None,
    *,
    length: int = SEGMENT,
    warm_up: int = WARM_UP,
) -> Plan:
    """Divide a video; it is read through once, but not decoded.

    Args:   output: the result's path; None: ``NAME.enhanced.EXT`` beside the source.
            length: frames a segment, about. warm_up: frames to look at before one.
    Raises: InputError, OutputError, EncoderError, DeviceError, WeightsError.
    """
    chosen, path = config or Config(), Path(source)
    with Reader(path, start=chosen.job.start, duration=chosen.job.duration) as film:
        whole = plan_output(film.source, output, chosen.output, scale=chosen.scale)
        base, shift, end = film.info.time_base, film.source.shift, film.source.end
    first = int(shift / base) if chosen.job.start > 0 else None
    last = ceil(end / base) if end is not None else None
    found = media.index(path)
    times = [t for t in found.times if (first is None or t >= first) and (last is None or t < last)]
    placement = pipeline.placed(chosen)
    precision: Any = placement.precision
    return Plan(
        path,
        whole.path,
        settled(chosen, str(placement.device), precision),
        min(os.cpu_count() or 1, MAX_THREADS),
        found.exact,
        first,
        last,
        divide(times, found.keys, length, warm_up, first),
        facts.versions(chosen),
    )


def settled(config: Config, device: str, precision: Precision) -> Config:
    """The configuration with nothing left to be measured."""
    return config.with_options(device=device, precision=precision)


def divide(
    times: list[int], keys: frozenset[int], length: int, warm_up: int, first: int | None
) -> tuple[Segment, ...]:
    """Segments of about `length` frames that begin with keyframes where they can.

    Args: times: of all frames, ascending. first: where the warm-up may not reach behind.
    """
    starts = [0]
    while len(times) - starts[-1] >= length + max(length // 2, _LEAST):
        starts.append(_next(times, keys, starts[-1] + length, length // 4))
    segments = []
    for number, (a, b) in enumerate(pairwise([*starts, len(times)])):
        begin = times[a] if a > 0 else first
        end = times[b] if b < len(times) else None
        warm = times[a - warm_up] if a > warm_up else first
        segments.append(Segment(number, begin, end, warm, b - a))
    return tuple(segments)


def _next(times: list[int], keys: frozenset[int], target: int, near: int) -> int:
    """The keyframe nearest to a frame, or that frame itself."""
    lowest, highest = max(target - near, _LEAST), min(target + near, len(times) - _LEAST)
    found = [i for i in range(lowest, highest + 1) if times[i] in keys]
    return min(found, key=lambda i: (abs(i - target), i), default=target)
