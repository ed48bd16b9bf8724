"""One clock for a whole run, whatever the clocks of its connections do.

Every packet is moved before it is decoded, all streams of a connection by the same amount, so that
sound stays with its picture. The amount changes where a clock starts again: at a new connection,
where it falls back (a loop, a wrap-around, a restarted sender), or where it leaps ahead without
the time having passed.
"""

from collections import deque
from fractions import Fraction

from crsr_video.io.pyav import Packet

_BACK = Fraction(1, 2)
"""Seconds; a decoding time that falls by more belongs to another recording."""
_LEAP_LIVE, _LEAP = 3, 60
"""Seconds that a clock may run ahead of the time that passed: of what is sent as it happens, and
of what may be read as fast as it comes."""
_NEAR = Fraction(1, 2)
"""Seconds; an earlier shift that brings a time so near is the right one again."""
_APART = 10
"""Seconds between a picture's decoding and presentation that cannot be."""
_FINE = Fraction(1, 1000)
_BASES = (90_000, 360_000)
"""Ticks a second: all usual frame rates and their NTSC variants are exact in the second."""


def common_base(base: Fraction) -> Fraction:
    """A time base for a whole run, after the one of its first stream: that one, or a finer one."""
    if 0 < base <= _FINE:
        return base
    exact = (Fraction(1, ticks) for ticks in _BASES if (base * ticks).denominator == 1)
    return next(exact, Fraction(1, _BASES[0]))


class Timeline:
    """Moves packets, and gives frames their times.

    Args: base: in which frames count.
          live: time that passes between connections passes here, too; else there is no gap.
          leaps: the source is sent as it happens, so its clock cannot run far ahead.
    """

    def __init__(self, base: Fraction, *, live: bool, leaps: bool) -> None:
        self.base = base
        self._live, self._leap = live, _LEAP_LIVE if leaps else _LEAP
        self._shifts: deque[Fraction] = deque([Fraction(0)], maxlen=4)
        self._streams: dict[int, Fraction] = {}
        self._last: dict[int, tuple[Fraction, float]] = {}
        self._fresh = False
        self._end = Fraction(0)
        self._latest: tuple[Fraction, float] | None = None
        self._frame: tuple[int, float] | None = None

    def restart(self) -> None:
        """What follows comes from a new connection."""
        self._streams.clear()
        self._last.clear()
        self._fresh = self._latest is not None

    def move(self, packet: Packet, at: float) -> None:
        """Put a packet onto the run's clock; to be asked for each, in their order.

        Args: at: `time.monotonic` of its arrival.
        """
        ticks = packet.pts if packet.dts is None else packet.dts
        if ticks is None or not packet.time_base:
            return
        if packet.pts is not None and abs(packet.pts - ticks) * packet.time_base > _APART:
            packet.pts = ticks
        time, index = ticks * packet.time_base, packet.stream_index
        if self._starts_again(index, time, at):
            self._streams[index] = self._new_shift(time, at)
        self._fresh = False
        self._last[index] = time, at
        shift = self._streams.setdefault(index, self._shifts[-1])
        self._note(time + shift, packet, at)
        offset = round(shift / packet.time_base)
        if offset:
            packet.dts = None if packet.dts is None else packet.dts + offset
            packet.pts = None if packet.pts is None else packet.pts + offset

    def _starts_again(self, index: int, time: Fraction, at: float) -> bool:
        if index not in self._last:
            return self._fresh
        last, then = self._last[index]
        passed = Fraction(max(at - then, 0))
        return time < last - _BACK or time > last + passed + self._leap

    def _new_shift(self, time: Fraction, at: float) -> Fraction:
        """An earlier shift if it fits again, as after a single wrong time; else one that goes on.

        Another stream may have started again before, and decided for all.
        """
        now = self._now(at)
        if not self._fresh:
            fitting = [s for s in reversed(self._shifts) if abs(time + s - now) <= _NEAR]
            if fitting:
                return fitting[0]
        self._shifts.append(now - time)
        return now - time

    def _now(self, at: float) -> Fraction:
        if self._latest is None or not self._live:
            return self._end
        last, then = self._latest
        passed = Fraction(max(at - then, 0)).limit_denominator(1_000_000)
        return max(self._end, last + passed)

    def _note(self, time: Fraction, packet: Packet, at: float) -> None:
        if self._latest is None or time >= self._latest[0]:
            self._latest = time, at
            self._end = time + (packet.duration or 0) * packet.time_base
        else:
            self._end = max(self._end, time + (packet.duration or 0) * packet.time_base)

    def stamp(self, seconds: Fraction | None, at: float) -> int:
        """A frame's time in ticks of `base`: increasing, by its arrival if it has none."""
        if seconds is not None:
            ticks = round(seconds / self.base)
        elif self._frame is None:
            ticks = 0
        else:
            ticks = self._frame[0] + round(Fraction(at - self._frame[1]) / self.base)
        if self._frame is not None:
            ticks = max(ticks, self._frame[0] + 1)
        self._frame = ticks, at
        return ticks
