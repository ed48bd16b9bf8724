"""Conversion of timestamps before and after an encoder.

Most encoders take the time of a frame in the container's own ticks and return it with the packet.
Others only number the frames. In their packets, these numbers are replaced by the times of the
frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from crsr_video.io.pyav import Packet
from crsr_video.io.source import RecordedSource, frame_times
from crsr_video.types import Frame, VideoInfo

_LONGEST_REORDERING = 60
"""Seconds from decoding to presentation above which an encoder's decoding time is corrected."""
_MPEG4_TICKS = 65535
"""MPEG-4 counts time in 16 bits."""
_MPEG_RATES = (
    *(Fraction(n, 1001) for n in (24000, 30000, 60000)),
    *(Fraction(n) for n in (24, 25, 30, 50, 60)),
)
"""The frame rates that MPEG-1 and MPEG-2 can store."""
_AVI_RATES = (
    *(Fraction(n, 1001) for n in (24000, 30000)),
    *(Fraction(n) for n in (25, 30, 50, 60, 100, 120, 240, 500, 1000)),
)
"""Ticks per second of AVI files with a variable frame rate."""
_INVISIBLE_SECONDS = Fraction(1, 100)
"""Time by which a frame may be moved so that an AVI file can have a coarser tick."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How an output counts time."""

    tick: Fraction
    """Unit of the container's timestamps, in seconds."""
    rate: Fraction
    """Nominal frames per second, for rate control and headers."""
    counts_frames: bool = False
    """Whether the encoder only counts frames."""

    @property
    def encoder_base(self) -> Fraction:
        """Time base of the encoder."""
        return 1 / self.rate if self.counts_frames else self.tick


def recorded_timing(
    source: RecordedSource, container: str, encoder: str, *, counts_frames: bool
) -> Timing:
    """Return the timing of a recorded result, which keeps the source's times if possible."""
    info = source.info
    if container == "avi":
        tick = avi_tick(info, lambda: frame_times(source))
        usual = avi_tick(info, tuple)
        rate = 1 / tick if tick == usual else nominal_rate(info.rate, encoder)
        return Timing(tick, rate, counts_frames=True)
    return Timing(info.time_base, nominal_rate(info.rate, encoder), counts_frames)


def live_timing(
    rate: Fraction | None, time_base: Fraction, *, counts_frames: bool = False
) -> Timing:
    """Return the timing of a live result, whose source may change.

    Args:
        rate: Frames per second, if known.
        time_base: Tick of the present source. The result's tick is this tick or a whole fraction of
            it, and at most a millisecond, since a later source may need that precision.
        counts_frames: Whether the encoder only counts frames.
    """
    fine = time_base <= Fraction(1, 1000)
    tick = time_base if fine else time_base / max(1, -(-time_base * 1000 // 1))
    known = Fraction(25) if rate is None or not 1 <= rate <= 1000 else rate
    return Timing(tick, known.limit_denominator(1001), counts_frames)


def nominal_rate(rate: Fraction | None, encoder: str) -> Fraction:
    """Return the frames per second that an encoder uses for rate control and headers."""
    rate = rate or Fraction(25)
    if encoder in ("mpeg1video", "mpeg2video"):
        return min(_MPEG_RATES, key=lambda r: abs(r - rate))
    if not 1 <= rate <= 1000:
        return Fraction(25)  # A variable rate that the container could not average.
    return rate if rate.numerator <= _MPEG4_TICKS else Fraction(round(rate * 50), 50)


def avi_tick(info: VideoInfo, times: Callable[[], Sequence[Fraction]]) -> Fraction:
    """Return the tick of an AVI file, in which a frame may begin at every tick.

    It is the source's own tick if that is at least 4 ms, or else the duration of a frame. If frames
    follow each other more closely than that, it is the longest tick of `_AVI_RATES` that keeps them
    apart and moves none of them visibly.

    Args:
        info: Properties of the source.
        times: Returns the times of all frames in seconds, in ascending order, if they are known.
    """
    base = info.time_base
    if base >= Fraction(1, 250):
        return base
    usual = 1 / (info.rate or Fraction(25))
    known = times()
    ticks = (usual, *(1 / rate for rate in _AVI_RATES if rate * usual > 1))
    return next((tick for tick in ticks if _are_apart(known, tick)), ticks[-1])


def _are_apart(times: Sequence[Fraction], tick: Fraction) -> bool:
    """Return whether no two frames get the same tick, and none is moved visibly."""
    rounded = [round(time / tick) for time in times]
    moved = [at * tick - time for time, at in zip(times, rounded, strict=True)]
    unevenness = max(moved, default=0) - min(moved, default=0)  # A common shift is harmless.
    return all(a < b for a, b in pairwise(rounded)) and unevenness <= 2 * _INVISIBLE_SECONDS


class EncoderClock:
    """Converts the times of frames for the encoder, and those of packets for the container."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._frames = 0
        self._first = 0
        self._times: dict[int, tuple[int, int]] = {}
        self._last_decoded: int | None = None

    def stamp(self, frame: Frame, duration: int) -> tuple[int, Fraction]:
        """Return the time and the time base with which a frame enters the encoder.

        Args:
            frame: The frame.
            duration: Duration of the frame in its own ticks.
        """
        timing = self._timing
        number, self._frames = self._frames, self._frames + 1
        if not timing.counts_frames:
            return frame.pts, frame.time_base
        pts = round(frame.pts * frame.time_base / timing.tick)
        if number:
            pts = max(pts, self._times[number - 1][0] + 1)
        else:
            self._first = pts
        self._times[number] = pts, round(duration * frame.time_base / timing.tick)
        return number, timing.encoder_base

    def restore(self, packet: Packet) -> None:
        """Correct the times of a packet from the encoder."""
        if self._timing.counts_frames:
            self._restore_counted(packet)
        # libx265 leaves the decoding time uninitialized in clips shorter than its own delay,
        # whose frames are in presentation order.
        if packet.pts is None or packet.dts is None or packet.time_base is None:
            return
        if not 0 <= (packet.pts - packet.dts) * packet.time_base <= _LONGEST_REORDERING:
            # A frame after a jump in time may be decoded long before those in between.
            last = self._last_decoded
            packet.dts = packet.pts if last is None else min(last + 1, packet.pts)
        self._last_decoded = packet.dts

    def _restore_counted(self, packet: Packet) -> None:
        """Replace the frame numbers in a packet by times.

        An encoder that reorders frames begins with negative decoding numbers. Number -n becomes the
        time n frame durations before the first frame. Any other decoding number becomes the time of
        the frame with that number. Decoding times therefore always increase.
        """
        index, decoded = packet.pts or 0, packet.dts if packet.dts is not None else packet.pts or 0
        tick, rate = self._timing.tick, self._timing.rate
        packet.time_base = tick
        packet.pts, packet.duration = self._times[index]
        step = max(1, round(1 / (rate * tick)))
        packet.dts = self._times[decoded][0] if decoded >= 0 else self._first + decoded * step
        for old in [i for i in self._times if i < min(decoded, self._frames - 1)]:
            del self._times[old]
