"""The part of a source that is read, and helpers for the timestamps of packets."""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Self

from crsr_video.io.pyav import Packet

INTERLEAVING_SECONDS = 2
"""Largest difference between the times of packets of different streams that are neighbours in a
file."""


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A part of a video, in ticks of its own clock."""

    begin: int | None = None
    """Timestamp of the first frame of the part. Defaults to the first frame of the video."""
    end: int | None = None
    """Timestamp of the first frame after the part. Defaults to the end of the video."""
    seek: bool = True
    """Whether reading may start at a keyframe in the middle instead of the start of the file."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a source that is read, in seconds of the source's clock."""

    begin: Fraction | None = None
    """Time of the first frame to read. Defaults to the first frame of the source."""
    end: Fraction | None = None
    """Time at which the part ends; a frame of this time is not read. Defaults to the end of the
    source."""
    shift: Fraction = Fraction(0)
    """Number of seconds that is subtracted from all timestamps."""
    may_seek: bool = True
    """Whether reading may start at a keyframe in the middle of the file."""

    @classmethod
    def from_span(cls, span: TimeSpan, time_base: Fraction) -> Self:
        """Return the window for a span. Its timestamps are not shifted."""
        begin = None if span.begin is None else span.begin * time_base
        end = None if span.end is None else span.end * time_base
        return cls(begin, end, Fraction(0), span.seek)

    @classmethod
    def from_seconds(
        cls, start: float, duration: float | None, origin: Fraction, time_base: Fraction
    ) -> Self:
        """Return a window whose timestamps are shifted to begin near 0.

        Args:
            start: Seconds from the beginning of the file.
            duration: Seconds to read, or None for everything.
            origin: Time at which the file begins.
            time_base: Seconds per tick of the video.
        """
        begin, shift, end = None, Fraction(0), None
        if start > 0:  # A whole number of the video's ticks, so that the shift is exact.
            begin = shift = round((origin + _exact(start)) / time_base) * time_base
        if duration is not None:
            end = (origin if begin is None else begin) + _exact(duration)
        return cls(begin, end, shift)

    def from_zero(self, origin: Fraction, time_base: Fraction) -> Self:
        """Return the same window with timestamps that begin at zero.

        Args:
            origin: Time at which the file begins.
            time_base: Seconds per tick of the video.
        """
        return replace(self, shift=round(origin / time_base) * time_base)

    def contains(self, time: Fraction | None) -> bool:
        """Return whether a packet of this time lies in the window.

        A packet without a time does if the window has no beginning.
        """
        if time is None:
            return self.begin is None
        return not self.is_before(time) and not self.is_after(time)

    def is_before(self, time: Fraction) -> bool:
        """Return whether a time precedes the window."""
        return self.begin is not None and time < self.begin

    def is_after(self, time: Fraction) -> bool:
        """Return whether a time follows the window."""
        return self.end is not None and time >= self.end

    def is_finished(self, time: Fraction | None) -> bool:
        """Return whether all packets that follow one of this time come after the window."""
        end = self.end
        return end is not None and time is not None and time >= end + INTERLEAVING_SECONDS

    def lasts_into(self, packet: Packet) -> bool:
        """Return whether a packet, such as one of a subtitle, begins before the window only."""
        time = time_of(packet)
        if self.begin is None or time is None or not self.is_before(time):
            return False
        return time + (packet.duration or 0) * packet.time_base > self.begin

    def cut_packet(self, packet: Packet) -> None:
        """Shorten a packet that begins before the window or lasts beyond its end."""
        time = time_of(packet)
        if time is None or not packet.duration:
            return
        if self.begin is not None and time < self.begin:
            late = ceil((self.begin - time) / packet.time_base)
            move_packet(packet, late * packet.time_base)
            packet.duration = max(1, packet.duration - late)
            time += late * packet.time_base
        if self.end is not None:
            ticks = int((self.end - time) / packet.time_base)
            packet.duration = max(1, min(packet.duration, ticks))

    def shift_packet(self, packet: Packet) -> None:
        """Subtract `shift` from the timestamps of a packet."""
        move_packet(packet, -self.shift)


def time_of(packet: Packet) -> Fraction | None:
    """Return the presentation time of a packet in seconds, or None if it has no timestamp."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else ticks * packet.time_base


def move_packet(packet: Packet, seconds: Fraction) -> None:
    """Add a number of seconds to the timestamps of a packet."""
    offset = round(seconds / packet.time_base)
    if offset:
        packet.dts = None if packet.dts is None else packet.dts + offset
        packet.pts = None if packet.pts is None else packet.pts + offset


def _exact(seconds: float) -> Fraction:
    """Return the decimal number that a float stands for: the float 0.2 is not exactly one fifth."""
    return Fraction(seconds).limit_denominator(1_000_000)
