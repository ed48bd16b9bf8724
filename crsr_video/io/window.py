"""Which part of a file is wanted, in seconds of its own clock."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from crsr_video.io.pyav import Packet

_SLACK = 2
"""Seconds by which streams are interleaved at most."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a video, in ticks of its own clock."""

    begin: int | None = None
    """Time of the first frame wanted; None: the first there is."""
    end: int | None = None
    """Time from which on no frame is wanted; None: to the end."""
    seek: bool = True
    """Whether the file may be entered in the middle, and is not read from its start."""


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, and how times are moved on the way out."""

    begin: Fraction | None = None
    """Time of the first frame wanted; None: the first there is."""
    end: Fraction | None = None
    """Time from which on nothing is wanted; None: to the end."""
    shift: Fraction = Fraction(0)
    """What is subtracted from all times."""
    may_seek: bool = True
    """Whether the file may be entered in the middle."""

    @classmethod
    def of_span(cls, span: Span, base: Fraction) -> Self:
        """Times are left as they are.

        Args: base: seconds a tick.
        """
        begin = None if span.begin is None else span.begin * base
        end = None if span.end is None else span.end * base
        return cls(begin, end, Fraction(0), span.seek)

    @classmethod
    def of_seconds(
        cls, start: float, duration: float | None, origin: Fraction, base: Fraction
    ) -> Self:
        """Times are shifted to start near 0.

        Args: start: seconds from the beginning. duration: seconds; None: to the end.
              origin: the time at which the file begins. base: seconds a tick of the video.
        """
        begin, shift, end = None, Fraction(0), None
        if start > 0:  # On the video's own clock, so that its times are shifted exactly.
            begin = shift = round((origin + _exact(start)) / base) * base
        if duration is not None:
            end = (origin if begin is None else begin) + _exact(duration)
        return cls(begin, end, shift)

    def holds(self, time: Fraction | None) -> bool:
        """Whether something of this time lies within; without a time, only if nothing is cut."""
        if time is None:
            return self.begin is None
        return not self.is_before(time) and not self.is_after(time)

    def is_before(self, time: Fraction) -> bool:
        """Whether a time comes before all that is wanted."""
        return self.begin is not None and time < self.begin

    def is_after(self, time: Fraction) -> bool:
        """Whether a time comes after all that is wanted."""
        return self.end is not None and time >= self.end

    def is_long_over(self, time: Fraction | None) -> bool:
        """Whether everything that is interleaved with a packet of this time comes after."""
        return self.end is not None and time is not None and time >= self.end + _SLACK

    def move(self, packet: Packet) -> None:
        """To the clock on which the window begins near 0."""
        offset = round(self.shift / packet.time_base)
        if packet.pts is not None:
            packet.pts -= offset
        if packet.dts is not None:
            packet.dts -= offset


def time_of(packet: Packet) -> Fraction | None:
    """When a packet is due, in seconds."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else ticks * packet.time_base


def _exact(seconds: float) -> Fraction:
    """The decimal fraction that was meant: 0.2 as a float lies just above one fifth."""
    return Fraction(seconds).limit_denominator(1_000_000)
