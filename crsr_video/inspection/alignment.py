"""Find which part of a source its enhanced copy shows, and decode both together in pairs of frames.

Timestamps are not enough: a copy may show only a part of its source, and still start at zero. So
pictures are compared.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, takewhile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.errors import ConfigError
from crsr_video.imaging.resampling import preview
from crsr_video.inspection.drawing import upright_size
from crsr_video.io.pyav import Passthrough
from crsr_video.io.reader import Reader
from crsr_video.types import Frame

Luma = NDArray[np.float32]

MAX_DIFFERENCE = 20.0
"""Largest mean difference between matching pictures, in 8-bit levels, after the mean brightness of
each was subtracted. When this was measured, copies differed from their sources by about 1, and 95
of 100 unrelated scenes differed by more than 40."""
_PROBES = 24
_PROBE_SECONDS = 5
"""The first frames of the copy are searched for in the source: at most `_PROBES` frames, from at
most `_PROBE_SECONDS` seconds."""
_THUMBNAIL_SIDE = 32
_LENGTH_TOLERANCE = Fraction(8, 100)
"""Largest difference in length, in seconds, between a video and its full copy. Most of it comes
from the audio."""
_CLOCK_TOLERANCE = Fraction(1, 1000)
"""Largest rounding error of timestamps in a container, in seconds."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Position of a copy within its source."""

    offset: Fraction
    """Timestamp of a frame in the source minus its timestamp in the copy, in seconds."""
    start: float
    """Seconds of the source to skip."""
    duration: float | None
    """Seconds of the source to read, or None to read to its end."""
    copy_start: float = 0.0
    """Seconds of the copy to skip."""
    copy_duration: float | None = None
    """Seconds of the copy to read, or None to read to its end."""

    def of_part(self, start: float, duration: float | None) -> "Alignment":
        """Return the position within the source of a part of the copy.

        Args:
            start: Seconds of the copy to skip.
            duration: Seconds of the copy to read, or None to read to its end.
        """
        rest = None if self.duration is None else max(0.5, self.duration - start)
        if duration is not None:
            rest = min(duration + 0.5, rest if rest is not None else math.inf)
        return Alignment(self.offset, self.start + start, rest, start, duration)


@dataclass(frozen=True, slots=True)
class _Thumbnail:
    time: Fraction
    luma: Luma
    """Luma in 8-bit levels with zero mean, (S, S)."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    offset: Fraction
    difference: float
    """Mean difference over the probes, in 8-bit levels."""
    plausible: bool
    """Whether both videos start with the same frame, or matching frames have equal timestamps."""


def align(before: Path, after: Path) -> Alignment:
    """Find the position of a copy within its source.

    If both have about the same length, only the first frames of the source are compared. Otherwise
    the whole source is read once.

    Raises:
        ConfigError: The videos do not show the same content.
    """
    with Reader(after) as copy:
        probes, begin, length = _probes(copy), start_of(copy), copy.info.seconds
    with Reader(before) as source:
        size_ratio(source.source.first, copy.source.first)  # Fails if sizes do not match.
        origin, source_length = start_of(source), source.info.seconds
        if source_length and length > source_length + max(1.0, 0.05 * source_length):
            raise ConfigError(
                f"{after.name} is {length:.1f} s long and {before.name} only "
                f"{source_length:.1f} s: they do not show the same video"
            )
        is_full_copy = abs(length - source_length) <= _LENGTH_TOLERANCE
        best = _search(source, probes, is_full_copy)
    if best is None or best.difference > MAX_DIFFERENCE:
        raise ConfigError(f"{before.name} and {after.name} do not show the same video")
    # Start slightly early, because containers round timestamps.
    start = max(0.0, float(best.offset + begin - origin - _CLOCK_TOLERANCE))
    is_part = length > 0 and (start > 0 or not is_full_copy)
    return Alignment(best.offset, start, length + 0.5 if is_part else None)


def start_of(reader: Reader) -> Fraction:
    """Return the start time of a file in seconds."""
    return Fraction(reader.source.container.start_time or 0, 1_000_000)


def exact_seconds(frame: Frame) -> Fraction:
    """Return the presentation time of a frame in seconds, without rounding."""
    return frame.pts * frame.time_base


def size_ratio(before: Frame, after: Frame) -> int:
    """Return how many times larger the second frame is than the first.

    The sizes may differ from this ratio by one row and column of the first frame.

    Raises:
        ConfigError: The ratio is not a whole number, or the aspect ratios differ.
    """
    (width, height, aspect), (wide, high, other) = upright_size(before), upright_size(after)
    scale = max(1, round(wide / width))
    if abs(wide - scale * width) > scale or abs(high - scale * height) > scale:
        raise ConfigError(
            f"cannot compare videos of {width}x{height} and {wide}x{high}: "
            "the second size must be a multiple of the first"
        )
    if abs(other / aspect - 1) > Fraction(1, 50):
        raise ConfigError("cannot compare videos with different pixel aspect ratios")
    return scale


def _search(source: Reader, probes: list[_Thumbnail], is_full_copy: bool) -> _Candidate | None:
    """Return the best candidate, or None. For a full copy, search only the start of the source."""
    candidates = _candidates(_thumbnails(source), probes)
    if is_full_copy:
        first = exact_seconds(source.source.first) - probes[0].time
        latest = max(first, Fraction(0)) + 2 * _LENGTH_TOLERANCE
        candidates = takewhile(lambda candidate: candidate.offset <= latest, candidates)
    return _best(candidates)


def _probes(reader: Reader) -> list[_Thumbnail]:
    first, *others = islice(_thumbnails(reader), _PROBES)
    return [first, *(item for item in others if item.time <= first.time + _PROBE_SECONDS)]


def _thumbnails(reader: Reader) -> Iterator[_Thumbnail]:
    side = _THUMBNAIL_SIDE, _THUMBNAIL_SIDE
    for item in reader:
        if isinstance(item, Frame):
            luma = 255 * preview(item, 2 * _THUMBNAIL_SIDE)
            small = cv2.resize(luma, side, interpolation=cv2.INTER_AREA)
            # The mean is removed because the copy may be brighter.
            yield _Thumbnail(exact_seconds(item), small - small.mean())


def _candidates(thumbnails: Iterator[_Thumbnail], probes: list[_Thumbnail]) -> Iterator[_Candidate]:
    """Compare the probes with the source, starting at each source frame, and yield the results.

    Only as many source frames are held in memory as cover the time span of the probes.
    """
    held: deque[_Thumbnail] = deque()
    span = probes[-1].time - probes[0].time
    first = True
    for thumbnail in thumbnails:
        held.append(thumbnail)
        while held and held[-1].time - held[0].time >= span - _CLOCK_TOLERANCE:
            yield _candidate(held, probes, first)
            held.popleft()
            first = False
    if first and held:  # The source is a few frames shorter than the copy.
        yield _candidate(held, probes, first)


def _candidate(held: deque[_Thumbnail], probes: list[_Thumbnail], first: bool) -> _Candidate:
    offset = held[0].time - probes[0].time
    times = np.array([float(item.time) for item in held])
    nearest = [int(np.abs(times - float(probe.time + offset)).argmin()) for probe in probes]
    gaps = [np.abs(held[i].luma - p.luma).mean() for i, p in zip(nearest, probes, strict=True)]
    return _Candidate(offset, float(np.mean(gaps)), first or abs(offset) <= _CLOCK_TOLERANCE)


def _best(candidates: Iterator[_Candidate]) -> _Candidate | None:
    """Return the candidate with the smallest difference, but prefer a plausible near-equal one."""
    best: _Candidate | None = None
    plausible: list[_Candidate] = []
    for candidate in candidates:
        plausible += [candidate] if candidate.plausible else []
        if best is None or candidate.difference < best.difference:
            best = candidate
    if best is None:
        return None
    as_good = [c for c in plausible if c.difference <= 1.05 * best.difference + 0.02]
    return min(as_good, key=lambda candidate: candidate.difference, default=best)


Pair = tuple[Frame, Frame]
"""Frames of the source and of the copy that show the same moment."""


class FramePairs(Closing):
    """Reads the frames of a source and its copy. Close it, or use it as a context manager.

    Args:
        before: The source.
        after: The copy.
        alignment: Position of the copy within the source.
    """

    def __init__(self, before: Path, after: Path, alignment: Alignment) -> None:
        with ExitStack() as stack:
            self.after = stack.enter_context(
                Reader(after, start=alignment.copy_start, duration=alignment.copy_duration)
            )
            self.before = stack.enter_context(
                Reader(before, start=alignment.start, duration=alignment.duration)
            )
            self.first: Pair = (self.before.source.first, self.after.source.first)
            self.scale = size_ratio(*self.first)
            self._files = stack.pop_all()
        self.offset = alignment.offset + self.after.source.shift
        # The offset on the clock of the reader, which starts at the first frame that it reads.
        self._reader_offset = self.offset - self.before.source.shift
        begin = start_of(self.after)
        length = Fraction(self.after.info.seconds) - self.after.source.shift
        if alignment.copy_duration is not None:
            length = min(length, Fraction(alignment.copy_duration))
        end = begin + length
        self._part = (begin, end) if alignment.duration else None

    def close(self) -> None:
        """Close both files."""
        self._files.close()

    def pairs(self, on_packet: Callable[[Passthrough], None] | None = None) -> Iterator[Pair]:
        """Yield every frame of the copy together with the frame that the source shows at its time.

        Args:
            on_packet: Called with each packet of the source's other streams that lies within the
                copy. Its timestamps are on the copy's clock.
        """
        shown = _ShownFrames(self._source_frames(on_packet), self.before.info.rate)
        time = Fraction(0)
        for item in self.after:
            if isinstance(item, Frame):
                time = exact_seconds(item)
                yield shown.at(time + self._reader_offset), item
        if self._part is not None:  # The copy may be shorter than its header states.
            self._part = self._part[0], min(self._part[1], time + shown.frame_seconds)
        shown.drain()

    def _source_frames(self, on_packet: Callable[[Passthrough], None] | None) -> Iterator[Frame]:
        for item in self.before:
            if isinstance(item, Frame):
                yield item
            elif on_packet is not None and self._shift(item):
                on_packet(item)

    def _shift(self, item: Passthrough) -> bool:
        """Move a packet to the copy's clock, and return whether it lies inside the copy."""
        packet = item.packet
        ticks = round(self._reader_offset / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = None if packet.dts is None else packet.dts - ticks
        time = packet.pts if packet.pts is not None else packet.dts
        if self._part is None or time is None:
            return True
        return self._part[0] <= time * packet.time_base < self._part[1]


class _ShownFrames:
    """Finds the frame that a video shows at a time. Times must not decrease."""

    def __init__(self, frames: Iterator[Frame], rate: Fraction | None) -> None:
        self._frames = frames
        self.frame_seconds = 1 / (rate or Fraction(25))
        """Average duration of a frame."""
        self._now = next(frames)
        self._next = next(frames, None)

    def at(self, time: Fraction) -> Frame:
        """Return the frame shown at a time, or the next one if it follows within half a frame."""
        while self._next is not None and time >= self._earliest(self._next):
            self._now, self._next = self._next, next(self._frames, None)
        return self._now

    def drain(self) -> None:
        for _ in self._frames:
            pass

    def _earliest(self, frame: Frame) -> Fraction:
        """Return the time from which the next frame counts as shown: half a frame early."""
        gap = exact_seconds(frame) - exact_seconds(self._now)
        return exact_seconds(frame) - min(gap, self.frame_seconds) / 2
