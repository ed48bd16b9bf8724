"""Corrects packet clocks that jump, in a recording or between the connections of a live source.

The timestamps of packets are shifted before decoding, in all streams by the same amount, so that
audio stays in sync with the picture.
"""

from collections import deque
from fractions import Fraction

from crsr_video.io.pyav import Packet
from crsr_video.io.windows import INTERLEAVING_SECONDS, move_packet

JUMPING_FORMATS = frozenset(("mpegts", "mpeg", "flv", "live_flv"))
"""FFmpeg's names of the containers whose clock may restart in the middle of a file."""
_BACK_SECONDS = Fraction(1, 2)
"""A decoding time that falls by more than this belongs to another recording."""
_LEAP_SECONDS = Fraction(10)
"""A clock that leaps further ahead, in all streams, belongs to another recording. FFmpeg's own
programs close gaps of the same length."""
_EARLIEST_START_SECONDS, _LATEST_START_SECONDS = Fraction(-1, 20), Fraction(2)
"""Range of usual start times. If a transport stream begins earlier or later, its start time is
arbitrary. Sound may begin a little before zero, because of the delay of its encoder."""
_LIVE_LEAP_SECONDS, _PIPE_LEAP_SECONDS = 3, 60
"""How far a clock may run ahead of real time, for a source that is sent in real time, and for a
source that may be read as fast as possible."""
_SAME_SHIFT_SECONDS = Fraction(1, 2)
"""An earlier shift applies again if it brings a timestamp this close to the expected one."""
_LONGEST_REORDERING_SECONDS = 10
"""Maximum plausible difference between presentation time and decoding time."""
_COARSEST_BASE = Fraction(1, 1000)
_FINE_BASES = (Fraction(1, 90_000), Fraction(1, 360_000))
"""The second time base represents all usual frame rates and their NTSC variants exactly."""


def is_arbitrary_start(container: str, origin: Fraction) -> bool:
    """Return whether the start time of a file is arbitrary, and not part of the recording.

    Args:
        container: FFmpeg's name of the container.
        origin: Time at which the file begins, in seconds.
    """
    is_usual = _EARLIEST_START_SECONDS <= origin <= _LATEST_START_SECONDS
    return container in JUMPING_FORMATS and not is_usual


class RecordingClocks:
    """Makes timestamps continuous where recordings with separate clocks were joined.

    Transport streams and Flash Video carry a clock that may jump back where one recording ends and
    the next one begins, or leap ahead. Every stream then continues where it stopped, and all
    streams are moved by the same amount. A pause of one stream is no leap as long as another stream
    continues. FFmpeg itself corrects the regular wraparound of the clock after 26 hours.
    """

    def __init__(self) -> None:
        self._shifts: list[Fraction] = []
        self._begins: list[Fraction] = []
        self._reached: list[Fraction] = []
        self._recordings: dict[int, int] = {}
        self._last: dict[int, Fraction] = {}
        self._ends: dict[int, Fraction] = {}
        self._shown: dict[int, Fraction] = {}
        self._announced: dict[int, Fraction] = {}
        self.leaps = 0
        """Number of times that the clock has leapt ahead."""
        self.restarts = 0
        """Number of times that the clock has restarted."""

    @property
    def is_steady(self) -> bool:
        """Whether only one clock has occurred so far."""
        return len(self._shifts) <= 1

    def move(self, packet: Packet) -> None:
        """Shift a packet to the clock of the first recording. Call it in the order of the file."""
        ticks = packet.pts if packet.dts is None else packet.dts
        if ticks is None:
            return
        time, index = ticks * packet.time_base, packet.stream_index
        if not self._shifts:
            self._add_recording(Fraction(0), time)
        number = self._recordings.get(index, len(self._shifts) - 1)
        has_leapt = time > self._reached[number] + _LEAP_SECONDS and not self._is_pause(time)
        if has_leapt or time < self._last.get(index, time) - _BACK_SECONDS:
            number = self._recording_of(packet, time, number, has_leapt=has_leapt)
        self._recordings[index], self._last[index] = number, time
        self._reached[number] = max(self._reached[number], time)
        shift = self._shifts[number]
        duration = (packet.duration or 0) * packet.time_base
        self._ends[index] = time + shift + duration
        if packet.pts is not None:
            shown = packet.pts * packet.time_base + shift + duration
            self._shown[index] = max(self._shown.get(index, shown), shown)
            if packet.pts * packet.time_base > time + _LEAP_SECONDS:
                self._announced[index] = packet.pts * packet.time_base
        move_packet(packet, shift)

    def _is_pause(self, time: Fraction) -> bool:
        """Return whether a leap to a time is a pause within one recording.

        Reordered pictures announce it: the first one after the pause is decoded before the pause.
        """
        return any(abs(time - pts) <= _LEAP_SECONDS for pts in self._announced.values())

    def _recording_of(
        self, packet: Packet, time: Fraction, present: int, *, has_leapt: bool
    ) -> int:
        """Return the number of the recording that a stream continues with.

        Another stream may have entered this recording already. After a single wrong timestamp, the
        previous recording continues.
        """
        end = max(self._ends.values())
        for number in reversed(range(len(self._shifts))):
            begin, reached = self._begins[number], self._reached[number]
            is_newer = number > present
            if is_newer and begin - INTERLEAVING_SECONDS <= time <= reached + _LEAP_SECONDS:
                return number
            if number < present and abs(time + self._shifts[number] - end) <= _BACK_SECONDS:
                return number
        self.leaps, self.restarts = self.leaps + has_leapt, self.restarts + (not has_leapt)
        shift = end - time
        # The pictures of a recording that reorders fewer of them would overlap the earlier ones.
        if packet.pts is not None and packet.stream_index in self._shown:
            overlap = self._shown[packet.stream_index] - packet.pts * packet.time_base - shift
            if 0 < overlap <= _BACK_SECONDS:
                shift += overlap
        self._add_recording(shift, time)
        return len(self._shifts) - 1

    def _add_recording(self, shift: Fraction, begin: Fraction) -> None:
        self._shifts.append(shift)
        self._begins.append(begin)
        self._reached.append(begin)


class Timeline:
    """One continuous clock for a live run with several connections.

    The shift changes where a source's clock restarts: at a new connection, where it falls back (a
    loop, a wraparound, a restarted sender), and where it leaps ahead of real time.

    Args:
        time_base: Seconds per tick of the frames' timestamps.
        counts_pauses: Whether the clock includes the time between two connections. Otherwise the
            next connection follows without a gap.
        is_sent_live: Whether the source is sent in real time, so that its clock cannot run far
            ahead.
    """

    def __init__(self, time_base: Fraction, *, counts_pauses: bool, is_sent_live: bool) -> None:
        self.time_base = time_base
        self._counts_pauses = counts_pauses
        self._leap = _LIVE_LEAP_SECONDS if is_sent_live else _PIPE_LEAP_SECONDS
        self._shifts: deque[Fraction] = deque([Fraction(0)], maxlen=4)
        self._streams: dict[int, Fraction] = {}
        self._last: dict[int, tuple[Fraction, float]] = {}
        self._is_new_connection = False
        self._end = Fraction(0)
        self._latest: tuple[Fraction, float] | None = None
        self._frame: tuple[int, float] | None = None

    def restart(self) -> None:
        """Prepare for the packets of a new connection."""
        self._streams.clear()
        self._last.clear()
        self._is_new_connection = self._latest is not None

    def move(self, packet: Packet, arrived_at: float) -> None:
        """Shift a packet to the run's clock. Call it for each packet, in order of arrival.

        Args:
            packet: The packet, which is changed.
            arrived_at: Value of `time.monotonic` at its arrival.
        """
        ticks = packet.pts if packet.dts is None else packet.dts
        if ticks is None or not packet.time_base:
            return
        reordering = 0 if packet.pts is None else abs(packet.pts - ticks) * packet.time_base
        if reordering > _LONGEST_REORDERING_SECONDS:
            packet.pts = ticks
        time, index = ticks * packet.time_base, packet.stream_index
        if self._starts_again(index, time, arrived_at):
            self._streams[index] = self._new_shift(time, arrived_at)
        self._is_new_connection = False
        self._last[index] = time, arrived_at
        shift = self._streams.setdefault(index, self._shifts[-1])
        self._extend(time + shift, packet, arrived_at)
        move_packet(packet, shift)

    def _starts_again(self, index: int, time: Fraction, arrived_at: float) -> bool:
        if index not in self._last:
            return self._is_new_connection
        last, then = self._last[index]
        passed = Fraction(max(arrived_at - then, 0))
        return time < last - _BACK_SECONDS or time > last + passed + self._leap

    def _new_shift(self, time: Fraction, arrived_at: float) -> Fraction:
        """Return an earlier shift that fits again, as after a wrong timestamp, or else a new shift.

        If another stream restarted before this one, its shift is found here too.
        """
        now = self._expected(arrived_at)
        if not self._is_new_connection:
            for shift in reversed(self._shifts):
                if abs(time + shift - now) <= _SAME_SHIFT_SECONDS:
                    return shift
        self._shifts.append(now - time)
        return now - time

    def _expected(self, arrived_at: float) -> Fraction:
        if self._latest is None or not self._counts_pauses:
            return self._end
        last, then = self._latest
        passed = Fraction(max(arrived_at - then, 0)).limit_denominator(1_000_000)
        return max(self._end, last + passed)

    def _extend(self, time: Fraction, packet: Packet, arrived_at: float) -> None:
        end = time + (packet.duration or 0) * packet.time_base
        if self._latest is None or time >= self._latest[0]:
            self._latest, self._end = (time, arrived_at), end
        else:
            self._end = max(self._end, end)

    def stamp(self, seconds: Fraction | None, arrived_at: float) -> int:
        """Return a frame's increasing timestamp in ticks, from its arrival if it has no time."""
        if seconds is not None:
            ticks = round(seconds / self.time_base)
        elif self._frame is None:
            ticks = 0
        else:
            ticks = self._frame[0] + round(Fraction(arrived_at - self._frame[1]) / self.time_base)
        if self._frame is not None:
            ticks = max(ticks, self._frame[0] + 1)
        self._frame = ticks, arrived_at
        return ticks


def common_time_base(first: Fraction) -> Fraction:
    """Return a time base for all connections: that of the first if it is usable, or a finer one."""
    if 0 < first <= _COARSEST_BASE:
        return first
    exact = (base for base in _FINE_BASES if (first / base).denominator == 1 and first > 0)
    return next(exact, _FINE_BASES[0])
