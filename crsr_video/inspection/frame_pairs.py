"""Decode a video and its enhanced copy together, and pair frames that show the same moment."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from crsr_video.closing import Closing
from crsr_video.inspection.alignment import Alignment, exact_seconds, size_ratio, start_of
from crsr_video.io.pyav import Passthrough
from crsr_video.io.reader import Reader
from crsr_video.types import Frame

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
