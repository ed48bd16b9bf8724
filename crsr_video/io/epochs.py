"""Clocks that start again in the middle of a file, as in recordings that were joined.

Transport streams carry a clock that may jump back where one recording ends and the next begins.
Every stream then goes on where it stopped, all by the same amount, so that sound stays with its
picture. FFmpeg undoes the ordinary wrap of the clock after 26 hours itself.
"""

from fractions import Fraction

from crsr_video.io.pyav import Packet

JUMPING = frozenset(("mpegts", "mpeg"))
"""FFmpeg's names of the formats whose clock may do that."""

_BACK = Fraction(1, 2)
"""Seconds; a decoding time that falls by more belongs to another recording."""

_LEAP = Fraction(10)
"""Seconds; a time that leaps so far ahead and falls back is damage, not another recording."""

_NEVER = Fraction(-(10**9))


class Epochs:
    """Moves packets so that time never falls back; to be asked for each in the file's order."""

    def __init__(self) -> None:
        self._shifts = [Fraction(0)]
        self._streams: dict[int, int] = {}
        self._last: dict[int, Fraction] = {}
        self._before_leap: dict[int, Fraction] = {}
        self._ends: dict[int, Fraction] = {}

    @property
    def jumps(self) -> int:
        """How often the clock has started again."""
        return len(self._shifts) - 1

    def move(self, packet: Packet) -> None:
        """Put a packet onto the clock of the first recording."""
        ticks = packet.pts if packet.dts is None else packet.dts
        if ticks is None:
            return
        time, index = ticks * packet.time_base, packet.stream_index
        last = self._last.get(index, time)
        if time > last + _LEAP:
            self._before_leap[index] = last
        elif time < last - _BACK and abs(time - self._before_leap.pop(index, _NEVER)) > _LEAP:
            self._enter(index, time)
        self._last[index] = time
        shift = self._shifts[self._streams.get(index, self.jumps)]
        self._streams.setdefault(index, self.jumps)
        length = (packet.duration or 0) * packet.time_base
        self._ends[index] = time + shift + length
        offset = round(shift / packet.time_base)
        if offset:
            packet.dts = None if packet.dts is None else packet.dts + offset
            packet.pts = None if packet.pts is None else packet.pts + offset

    def _enter(self, index: int, time: Fraction) -> None:
        """A stream begins its next recording; the first to do so decides how far all move."""
        self._streams[index] += 1
        if self._streams[index] > self.jumps:
            self._shifts.append(max(self._ends.values()) - time)
