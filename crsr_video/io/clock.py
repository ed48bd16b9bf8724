"""Times on their way through an encoder.

Most encoders take a frame's time in the container's own ticks and give it back on the packet.
Some only count frames: their packets get the times back that the counts stand for.
"""

from fractions import Fraction

from crsr_video.io.pyav import Packet
from crsr_video.types import Frame, VideoInfo

_LONGEST_REORDERING = 60
"""Seconds between decoding and presentation beyond which an encoder is not believed."""

_MPEG4_TICKS = 65535
"""MPEG-4 counts time in 16 bits."""

_MPEG_RATES = (
    *(Fraction(n, 1001) for n in (24000, 30000, 60000)),
    *(Fraction(n) for n in (24, 25, 30, 50, 60)),
)
"""The frame rates that MPEG-1 and MPEG-2 have a code for."""


def nominal_rate(info: VideoInfo, encoder: str) -> Fraction:
    """Frames a second, for what encoders want it for: rate control and headers, not times."""
    rate = info.rate or Fraction(25)
    if encoder in ("mpeg1video", "mpeg2video"):
        return min(_MPEG_RATES, key=lambda r: abs(r - rate))
    if not 1 <= rate <= 1000:
        return Fraction(25)  # A variable rate that the container could not average.
    return rate if rate.numerator <= _MPEG4_TICKS else Fraction(round(rate * 50), 50)


class Clock:
    """Gives frames the times that an encoder wants, and packets those that a container wants.

    Args: tick: of the container, in seconds. rate: frames a second, nominally.
          counted: the encoder only counts frames.
    """

    def __init__(self, tick: Fraction, rate: Fraction, *, counted: bool) -> None:
        self.tick = tick
        self.rate = rate
        self.counted = counted
        self._frames = 0
        self._first = 0
        self._times: dict[int, tuple[int, int]] = {}
        self._last_decoded: int | None = None

    @property
    def encoder_base(self) -> Fraction:
        """Time base of the encoder."""
        return 1 / self.rate if self.counted else self.tick

    def stamp(self, frame: Frame, duration: int) -> tuple[int, Fraction]:
        """Time and time base with which a frame enters the encoder.

        Args: duration: of the frame, in its own ticks.
        """
        number, self._frames = self._frames, self._frames + 1
        if not self.counted:
            return frame.pts, frame.time_base
        pts = round(frame.pts * frame.time_base / self.tick)
        if number:
            pts = max(pts, self._times[number - 1][0] + 1)
        else:
            self._first = pts
        self._times[number] = pts, round(duration * frame.time_base / self.tick)
        return number, self.encoder_base

    def restore(self, packet: Packet) -> None:
        """Put the times of a packet from the encoder right."""
        if self.counted:
            self._restore_counted(packet)
        # libx265 leaves the decoding time uninitialised in clips shorter than its own delay,
        # which hold their frames in order of presentation.
        if packet.pts is None or packet.dts is None or packet.time_base is None:
            return
        if not 0 <= (packet.pts - packet.dts) * packet.time_base <= _LONGEST_REORDERING:
            # A frame after a leap of the clock may be decoded long before those in between.
            last = self._last_decoded
            packet.dts = packet.pts if last is None else min(last + 1, packet.pts)
        self._last_decoded = packet.dts

    def _restore_counted(self, packet: Packet) -> None:
        """Replace the count of frames by the times they stand for.

        A decoding time before the first frame, of an encoder that reorders, goes as far back from
        it as it counts; any other is the time of the frame it counts, so that both kinds grow.
        """
        index, decoded = packet.pts or 0, packet.dts if packet.dts is not None else packet.pts or 0
        packet.time_base = self.tick
        packet.pts, packet.duration = self._times[index]
        step = max(1, round(1 / (self.rate * self.tick)))
        packet.dts = self._times[decoded][0] if decoded >= 0 else self._first + decoded * step
        for old in [i for i in self._times if i < min(decoded, self._frames - 1)]:
            del self._times[old]
