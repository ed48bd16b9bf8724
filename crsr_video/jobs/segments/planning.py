"""Divide a video into segments by its packets alone, with the same result on every machine."""

import os
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path

from crsr_video.config import Config
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.jobs.segments import compatibility, packets
from crsr_video.runtime import loading

SEGMENT_FRAMES = 600
"""Approximate number of frames in a segment, which is what a crash can lose. Shorter segments
repeat the warm-up more often."""
WARM_UP_FRAMES = 48
"""Number of frames that are processed before a segment. Compared with runs without segments, no
pixel differs if there is a tracks file. Without one, enhanced pixels at the boundary differ by 0 to
4 of 255 code values (RMS). This depends on the clip and not on the length of the warm-up (24 to 96
frames), because a tracker that searches at intervals never sees exactly the same frames."""
_MIN_FRAMES = 2
"""H.264 encoders could mistake two segments of one frame for two fields of one picture."""
MAX_THREADS = 16
"""Maximum number of threads in x265. The number of encoder threads is part of the plan because the
result depends on it, and the machine that resumes a run may have a different number of cores."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A unit of work. Times are in ticks of the source's video stream, on its own clock."""

    number: int
    """Position, counted from zero."""
    begin: int | None
    """Time of the first frame, or None for the first frame of the source."""
    end: int | None
    """Time of the first frame of the next segment, or None in the last segment."""
    warm_up: int | None
    """Time of the first warm-up frame, or None for the first frame of the source."""
    frames: int
    """Number of frames according to the source's packets. Some may not be decodable."""

    def contains(self, pts: int) -> bool:
        """Return whether a frame belongs to the segment itself."""
        return (self.begin is None or pts >= self.begin) and (self.end is None or pts < self.end)

    def is_warm_up(self, pts: int) -> bool:
        """Return whether a frame belongs to the warm-up."""
        return self.begin is not None and pts < self.begin


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a worker must know. It can be sent to other machines."""

    source: Path
    output: Path
    config: Config
    """Settings with a fixed device and precision, so that all workers compute alike."""
    threads: int
    """Number of encoder threads, on which the result depends."""
    can_seek: bool
    """Whether reading can start in the middle of the source."""
    begin: int | None
    """Time of the first wanted frame, or None for the first frame of the source."""
    end: int | None
    """Time after the last wanted frame, or None for the end of the source."""
    segments: tuple[Segment, ...]
    versions: dict[str, str]
    """Versions of the software and weights in use. A worker with other versions is refused."""

    @property
    def frames(self) -> int:
        """Number of frames according to the source's packets."""
        return sum(segment.frames for segment in self.segments)


def plan(
    source: str | Path,
    config: Config | None = None,
    output: str | Path | None = None,
    *,
    length: int | None = None,
    warm_up: int | None = None,
) -> Plan:
    """Divide a video into segments. Its packets are read once, but not decoded.

    Args:
        source: A video file.
        config: Settings of the run.
        output: Path of the result. Defaults to ``NAME.enhanced.EXT`` beside the source.
        length: Approximate number of frames in a segment. Defaults to `SEGMENT_FRAMES`.
        warm_up: Number of frames to process before a segment. Defaults to `WARM_UP_FRAMES`.

    Raises:
        InputError: The source cannot be read.
        OutputError: The result cannot be written.
        EncoderError: There is no such encoder.
        DeviceError: The device cannot be used.
        WeightsError: The weights cannot be loaded.
    """
    config, path = config or Config(), Path(source)
    with Reader(path, start=config.job.start, duration=config.job.duration) as reader:
        result = plan_output(reader.source, output, config.output, scale=config.scale)
        base, shift, end = reader.info.time_base, reader.source.shift, reader.source.end
    first = int(shift / base) if config.job.start > 0 else None
    last = ceil(end / base) if end is not None else None
    found = packets.index(path)
    length = SEGMENT_FRAMES if length is None else length
    warm_up = WARM_UP_FRAMES if warm_up is None else warm_up
    times = [t for t in found.times if (first is None or t >= first) and (last is None or t < last)]
    placement = loading.resolve_placement(config)
    return Plan(
        path,
        result.path,
        config.with_options(device=str(placement.device), precision=placement.precision),
        min(os.cpu_count() or 1, MAX_THREADS),
        found.is_exact,
        first,
        last,
        divide(times, found.keyframes, length, warm_up, first),
        compatibility.versions(config),
    )


def divide(
    times: list[int], keyframes: frozenset[int], length: int, warm_up: int, first: int | None
) -> tuple[Segment, ...]:
    """Return segments of about `length` frames that begin with keyframes if possible.

    Args:
        times: Times of all frames, in ascending order.
        keyframes: Times of the keyframes.
        length: Approximate number of frames in a segment.
        warm_up: Number of frames to process before a segment.
        first: Time before which no warm-up may begin, if any.
    """
    starts = [0]
    while len(times) - starts[-1] >= length + max(length // 2, _MIN_FRAMES):
        starts.append(_next_start(times, keyframes, starts[-1] + length, length // 4))
    segments = []
    for number, (a, b) in enumerate(pairwise([*starts, len(times)])):
        begin = times[a] if a > 0 else first
        end = times[b] if b < len(times) else None
        warm = times[a - warm_up] if a > warm_up else first
        segments.append(Segment(number, begin, end, warm, b - a))
    return tuple(segments)


def _next_start(times: list[int], keyframes: frozenset[int], target: int, distance: int) -> int:
    """Return the index of the keyframe nearest to a target, or the target if none is near."""
    lowest, highest = (
        max(target - distance, _MIN_FRAMES),
        min(target + distance, len(times) - _MIN_FRAMES),
    )
    found = [i for i in range(lowest, highest + 1) if times[i] in keyframes]
    return min(found, key=lambda i: (abs(i - target), i), default=target)
