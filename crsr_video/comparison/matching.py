"""Two videos decoded in step: which frames show the same moment."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from crsr_video.closing import Closing
from crsr_video.comparison.place import Place, start_of
from crsr_video.comparison.shape import scale_between, seconds
from crsr_video.io.pyav import Passthrough
from crsr_video.io.reader import Reader
from crsr_video.types import Frame

Pair = tuple[Frame, Frame]
"""What was shown before and after, at one moment."""


class Match(Closing):
    """A video and its enhanced copy; a context manager, to be iterated over once."""

    def __init__(self, before: Path, after: Path, place: Place) -> None:
        """Open both, the first where the second lies in it.

        Raises: InputError: one of them cannot be read.
                ConfigError: their pictures are of different shapes.
        """
        self.after = Reader(after)
        try:
            self.before = Reader(before, start=place.start, duration=place.duration)
            self.first: Pair = (self.before.source.first, self.after.source.first)
            self.scale = scale_between(*self.first)
        except BaseException:
            self.close()
            raise
        self.offset = place.offset
        # The same on the clock of what `before` yields.
        self._late = place.offset - self.before.source.shift
        begin = start_of(self.after)
        self._part = (begin, begin + Fraction(self.after.info.seconds)) if place.duration else None

    def close(self) -> None:
        """Close both files."""
        for decoder in (self.after, getattr(self, "before", None)):
            if decoder is not None:
                decoder.close()

    def pairs(self, on_packet: Callable[[Passthrough], None] | None = None) -> Iterator[Pair]:
        """Every frame of the copy, with what the source shows at that time.

        Args: on_packet: given the source's other packets, their times on the copy's clock.
        """
        shown = _Shown(self._source_frames(on_packet), self.before.info.rate)
        time = Fraction(0)
        for item in self.after:
            if isinstance(item, Frame):
                time = seconds(item)
                yield shown.at(time + self._late), item
        if self._part is not None:  # What the file told of its length may not be true.
            self._part = self._part[0], min(self._part[1], time + shown.usual)
        shown.drain()

    def _source_frames(self, on_packet: Callable[[Passthrough], None] | None) -> Iterator[Frame]:
        for item in self.before:
            if isinstance(item, Frame):
                yield item
            elif on_packet is not None and self._move(item):
                on_packet(item)

    def _move(self, item: Passthrough) -> bool:
        """Put a packet on the copy's clock; False: it lies outside of the part that was cut out."""
        packet = item.packet
        ticks = round(self._late / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = None if packet.dts is None else packet.dts - ticks
        time = packet.pts if packet.pts is not None else packet.dts
        if self._part is None or time is None:
            return True
        return self._part[0] <= time * packet.time_base < self._part[1]


class _Shown:
    """What a video shows at growing times: the frame that came last, or comes at once."""

    def __init__(self, frames: Iterator[Frame], rate: Fraction | None) -> None:
        self._frames = frames
        self.usual = 1 / (rate or Fraction(25))
        """Seconds that a frame is shown, on average."""
        self._now = next(frames)
        self._next = next(frames, None)

    def at(self, time: Fraction) -> Frame:
        """The frame shown at a time, or one that follows within half a frame."""
        while self._next is not None and time >= self._due(self._next):
            self._now, self._next = self._next, next(self._frames, None)
        return self._now

    def drain(self) -> None:
        """Read on to the end, for the sake of the packets in between."""
        for _ in self._frames:
            pass

    def _due(self, frame: Frame) -> Fraction:
        """From when on a frame counts as shown: half a frame, as long as they are here, early."""
        return seconds(frame) - min(seconds(frame) - seconds(self._now), self.usual) / 2
