"""Timestamps of packets and pictures: which part is read, and clocks that jump or are missing.

Packets are moved before they are decoded, all streams by the same amount, so that audio stays in
sync with its picture. `RecordingClocks` does this within one recording, and `Timeline` over all
connections of a live source. `PictureTimes` gives every decoded picture an increasing timestamp.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from time import monotonic
from typing import Self

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from crsr_video.io.pyav import Packet

JUMPING_FORMATS = frozenset(("mpegts", "mpeg"))
"""FFmpeg's names of the containers whose clock may start again in the middle of a file."""

_BACK_SECONDS = Fraction(1, 2)
"""A decoding time that falls by more than this belongs to another recording."""
_LEAP_SECONDS = Fraction(10)
"""A clock that leaps further ahead, in all streams, belongs to another recording. FFmpeg's own
programs close gaps of the same length."""
_EARLIEST_START_SECONDS, _LATEST_START_SECONDS = Fraction(-1, 20), Fraction(2)
"""A transport stream that begins earlier or later has a clock that says nothing about the
recording. Sound may begin a little before zero, as encoders of sound do."""
_INTERLEAVING_SECONDS = 2
"""Packets of different streams that belong together lie no further apart in a file."""
_LIVE_LEAP_SECONDS, _PIPE_LEAP_SECONDS = 3, 60
"""How far a clock may run ahead of the time that has passed: for a source that is sent as it
happens, and for one that may be read as fast as possible."""
_SAME_SHIFT_SECONDS = Fraction(1, 2)
"""An earlier shift applies again if it brings a timestamp this close to the expected one."""
_LONGEST_REORDERING_SECONDS = 10
"""A presentation time that lies further from its decoding time is wrong."""
_MOST_SENT, _LASTING_PICTURES = 1024, 32
_UNTIMED_FORMATS = frozenset(
    ("h264", "hevc", "vvc", "m4v", "mpegvideo", "cavsvideo", "vc1", "obu", "mjpeg", "ingenient")
)
"""FFmpeg's names of the containers without timestamps, for which it assumes 25 frames per second
unless the stream says otherwise."""
_COARSEST_BASE = Fraction(1, 1000)
_FINE_BASES = (Fraction(1, 90_000), Fraction(1, 360_000))
"""All usual frame rates and their NTSC variants are exact in the second one."""


# Which part is read ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a video, in ticks of its own clock."""

    begin: int | None = None
    """Timestamp of the first wanted frame. Defaults to the first frame."""
    end: int | None = None
    """Timestamp of the first frame that is not wanted any more. Defaults to the end."""
    seek: bool = True
    """Whether reading may start at a keyframe in the middle instead of the start of the file."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a source that is read, in seconds of the source's clock."""

    begin: Fraction | None = None
    """Time of the first wanted frame. Defaults to the first frame."""
    end: Fraction | None = None
    """Time from which nothing is wanted any more. Defaults to the end."""
    shift: Fraction = Fraction(0)
    """Seconds that are subtracted from all timestamps."""
    may_seek: bool = True
    """Whether reading may start at a keyframe in the middle of the file."""

    @classmethod
    def from_span(cls, span: Span, time_base: Fraction) -> Self:
        """Return the window of a span; timestamps are not shifted."""
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
        """Return whether a packet of this time is wanted. Without a time: if nothing is cut."""
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
        """Return whether everything that follows a packet of this time is behind the window."""
        end = self.end
        return end is not None and time is not None and time >= end + _INTERLEAVING_SECONDS

    def cut_packet(self, packet: Packet) -> None:
        """Shorten a packet, such as that of a subtitle, that lasts beyond the window."""
        time = time_of(packet)
        if self.end is not None and time is not None and packet.duration:
            ticks = int((self.end - time) / packet.time_base)
            packet.duration = max(1, min(packet.duration, ticks))

    def shift_packet(self, packet: Packet) -> None:
        """Subtract `shift` from the timestamps of a packet."""
        _move(packet, -self.shift)


def time_of(packet: Packet) -> Fraction | None:
    """Return when a packet is due, in seconds, or None if it does not say."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else ticks * packet.time_base


def is_arbitrary_start(container: str, origin: Fraction) -> bool:
    """Return whether the time at which a file begins says nothing about the recording.

    Args:
        container: FFmpeg's name of the container.
        origin: Time at which the file begins, in seconds.
    """
    is_usual = _EARLIEST_START_SECONDS <= origin <= _LATEST_START_SECONDS
    return container in JUMPING_FORMATS and not is_usual


def _exact(seconds: float) -> Fraction:
    """Return the decimal fraction that was meant: the float 0.2 lies just above one fifth."""
    return Fraction(seconds).limit_denominator(1_000_000)


def _move(packet: Packet, seconds: Fraction) -> None:
    offset = round(seconds / packet.time_base)
    if offset:
        packet.dts = None if packet.dts is None else packet.dts + offset
        packet.pts = None if packet.pts is None else packet.pts + offset


# Clocks that jump --------------------------------------------------------------------------------


class RecordingClocks:
    """Keeps timestamps growing, without gaps, where recordings with own clocks were joined.

    Transport streams carry a clock that may jump back where one recording ends and the next one
    begins, or leap ahead. Every stream then continues where it stopped, and all streams are moved
    by the same amount. A pause of one stream is no leap as long as another stream goes on. FFmpeg
    itself undoes the ordinary wrap of the clock after 26 hours.
    """

    def __init__(self) -> None:
        self._shifts: list[Fraction] = []
        self._begins: list[Fraction] = []
        self._reached: list[Fraction] = []
        self._recordings: dict[int, int] = {}
        self._last: dict[int, Fraction] = {}
        self._ends: dict[int, Fraction] = {}
        self.leaps = 0
        """How often the clock has leapt ahead."""
        self.restarts = 0
        """How often the clock has started again."""

    @property
    def is_steady(self) -> bool:
        """Whether there was only one clock so far."""
        return len(self._shifts) <= 1

    def move(self, packet: Packet) -> None:
        """Put a packet on the clock of the first recording. Call it in the file's order."""
        ticks = packet.pts if packet.dts is None else packet.dts
        if ticks is None:
            return
        time, index = ticks * packet.time_base, packet.stream_index
        if not self._shifts:
            self._add_recording(Fraction(0), time)
        number = self._recordings.get(index, len(self._shifts) - 1)
        has_leapt = time > self._reached[number] + _LEAP_SECONDS
        if has_leapt or time < self._last.get(index, time) - _BACK_SECONDS:
            number = self._recording_of(time, number, has_leapt=has_leapt)
        self._recordings[index], self._last[index] = number, time
        self._reached[number] = max(self._reached[number], time)
        shift = self._shifts[number]
        self._ends[index] = time + shift + (packet.duration or 0) * packet.time_base
        _move(packet, shift)

    def _recording_of(self, time: Fraction, present: int, *, has_leapt: bool) -> int:
        """Return the number of the recording that a stream continues with.

        Another stream may have begun it already. After one wrong timestamp, the recording before
        it continues.
        """
        end = max(self._ends.values())
        for number in reversed(range(len(self._shifts))):
            begin, reached = self._begins[number], self._reached[number]
            is_newer = number > present
            if is_newer and begin - _INTERLEAVING_SECONDS <= time <= reached + _LEAP_SECONDS:
                return number
            if number < present and abs(time + self._shifts[number] - end) <= _BACK_SECONDS:
                return number
        self.leaps, self.restarts = self.leaps + has_leapt, self.restarts + (not has_leapt)
        self._add_recording(end - time, time)
        return len(self._shifts) - 1

    def _add_recording(self, shift: Fraction, begin: Fraction) -> None:
        self._shifts.append(shift)
        self._begins.append(begin)
        self._reached.append(begin)


class Timeline:
    """One clock for a live run, whatever the clocks of its connections do.

    The shift changes where a clock starts again: at a new connection, where it falls back (a loop,
    a wrap, a restarted sender), and where it leaps ahead although no time has passed.

    Args:
        time_base: Seconds per tick of the frames' timestamps.
        counts_pauses: Whether the time between two connections passes on this clock too. Otherwise
            the next connection follows without a gap.
        is_sent_live: Whether the source is sent as it happens, so that its clock cannot run far
            ahead of real time.
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
        """Put a packet on the run's clock. Call it for each packet, in order of arrival.

        Args:
            packet: The packet, which is changed.
            arrived_at: `time.monotonic` of its arrival.
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
        _move(packet, shift)

    def _starts_again(self, index: int, time: Fraction, arrived_at: float) -> bool:
        if index not in self._last:
            return self._is_new_connection
        last, then = self._last[index]
        passed = Fraction(max(arrived_at - then, 0))
        return time < last - _BACK_SECONDS or time > last + passed + self._leap

    def _new_shift(self, time: Fraction, arrived_at: float) -> Fraction:
        """Return an earlier shift that fits again, as after one wrong timestamp, or a new one.

        Another stream may have started again before this one, and has then set the shift for all.
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
        """Return a frame's timestamp in ticks: increasing, by its arrival if it has no time."""
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
    """Return a time base for all connections: that of the first one, or a finer one."""
    if 0 < first <= _COARSEST_BASE:
        return first
    exact = (base for base in _FINE_BASES if (first / base).denominator == 1 and first > 0)
    return next(exact, _FINE_BASES[0])


# Timestamps of pictures --------------------------------------------------------------------------


def frame_rate(video: VideoStream) -> Fraction | None:
    """Return the frames per second of a video, as far as its container can be believed.

    The average is right for variable rates too. But it is nonsense where the container only states
    how fine its clock is, as for DV, and an assumption where there are no timestamps at all.
    """
    average, guessed = video.average_rate, video.guessed_rate
    if not average or not guessed:
        return average or guessed
    is_assumed = video.container.format.name in _UNTIMED_FORMATS
    is_nonsense = average > guessed * Fraction(11, 10) or not 1 <= average <= 1000
    is_rounded = average.denominator not in (1, 1001) and abs(average - guessed) * 200 < guessed
    return guessed if is_assumed or is_nonsense or is_rounded else average


class PictureTimes:
    """Gives the pictures of one stream increasing timestamps, in ticks of the stream."""

    def __init__(self, video: VideoStream) -> None:
        self._video = video
        self._base = video.time_base or Fraction(1, 1000)
        # AVI only stores the order of decoding. FFmpeg guesses presentation times, wrongly for
        # H.264, but the count of decoded pictures grows evenly.
        self._counts_pictures = video.container.format.name == "avi"
        self._last: int | None = None
        self._sent: deque[int] = deque(maxlen=_MOST_SENT)
        self._latest = -(1 << 63)
        self._lags: deque[int] = deque(maxlen=_LASTING_PICTURES)
        self._may_be_decoding_times = not self._counts_pictures
        self.were_decoding_times = False
        """Whether timestamps told when pictures are decoded, not when they are shown. A stream
        without timestamps that was put into MP4 is such a stream."""
        self.made_up = 0
        """Pictures whose timestamp was missing or ran backwards."""

    def packet_sent(self, packet: Packet) -> None:
        """Take note of a packet that goes into the decoder."""
        if packet.is_discard or not self._may_be_decoding_times:
            return
        if packet.pts is None or packet.pts < self._latest:
            self._may_be_decoding_times = False  # Pictures are reordered, and their times too.
            self._sent.clear()
        else:
            self._latest = packet.pts
            self._sent.append(packet.pts)

    def stamp(self, picture: VideoFrame) -> int:
        """Return the timestamp of the next picture."""
        pts, last = picture.pts, self._last
        if last is None:  # Now the decoder knows whether it reorders pictures.
            self._may_be_decoding_times &= self._video.codec_context.has_b_frames
        if self._counts_pictures and picture.dts is not None:
            pts = picture.dts
        elif self._may_be_decoding_times and self._sent:
            pts = self._next_sent(pts)
            self.were_decoding_times |= pts != picture.pts
        if pts is None and picture.dts is not None and (last is None or picture.dts > last):
            pts = picture.dts
        elif pts is None:
            rate = frame_rate(self._video) or Fraction(25)
            pts = 0 if last is None else last + max(1, round(1 / (rate * self._base)))
        if last is not None and pts <= last:
            pts = last + 1
        self.made_up += pts != picture.pts
        self._last = pts
        return pts

    def _next_sent(self, pts: int | None) -> int:
        """Return the earliest timestamp that no picture has got yet.

        Pictures that the decoder could not make leave timestamps behind, which are passed over as
        soon as all of the last pictures turn out to be late.
        """
        earliest = self._sent.popleft()
        self._lags.append(0 if pts is None else pts - earliest)
        if len(self._lags) == _LASTING_PICTURES and min(self._lags) > 0 and self._sent:
            self._lags.clear()
            earliest = self._sent.popleft()
        return earliest


class Pace:
    """Waits until frames of a file are due, as if a camera sent them.

    Args:
        stop: Ends every wait.
        slack: Seconds of delay after which the pace starts again, as for a source in pieces that
            ran dry. It never does by default.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        stop: threading.Event,
        *,
        slack: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._stop, self._slack, self._clock = stop, slack, clock
        self._start: tuple[Fraction, float] | None = None

    def wait(self, seconds: Fraction) -> bool:
        """Wait until the frame of this time is due. Return False if the wait was stopped."""
        now = self._clock()
        if self._start is None:
            self._start = seconds, now
        due = self._start[1] + float(seconds - self._start[0])
        if due > now:
            return not self._stop.wait(due - now)
        if self._slack is not None and now - due > self._slack:
            self._start = seconds, now
        return True
