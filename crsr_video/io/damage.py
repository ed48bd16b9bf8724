"""Damage that FFmpeg passes over in silence: pictures that never come, gaps, impossible times.

A decoder that cannot make anything of a packet may say so, or give a patched picture that is marked
as such; both are counted where they occur. It may also just give nothing: that is found out here,
by comparing what went in with what came out. A demuxer that has lost its way in a damaged file goes
on where it finds its way again: that shows only as a gap in time.
"""

from av.video.frame import VideoFrame

from crsr_video.io import checksums
from crsr_video.io.pyav import Packet

_ONE_EACH = frozenset(
    (
        *("h264", "hevc", "vvc", "av1", "vp9", "mpeg1video", "mpeg2video", "mjpeg", "ffv1"),
        *("prores", "dnxhd", "cfhd", "huffyuv", "utvideo", "png"),
    )
)
"""Codecs of which every packet with a time makes one picture; VP8 hides some, MPEG-4 skips some."""
_REGULAR = 5
"""Equal steps around which a longer one is a gap, unless the picture before was meant to last."""
_MOST_WAITING = 1024
"""Packets that a decoder may hold back."""
_LONGEST = 24 * 3600
"""Seconds that a packet may last."""
_LATEST = 1 << 61
"""Ticks; a time beyond could not be reckoned with in 64 bits."""


def tame(packet: Packet) -> None:
    """Forget times and lengths that no clock has: muxers refuse them, and sums overflow."""
    if packet.pts is not None and abs(packet.pts) > _LATEST:
        packet.pts = None
    if packet.dts is not None and abs(packet.dts) > _LATEST:
        packet.dts = None
    length = packet.duration or 0
    if not 0 <= length < 1 << 31 or length * (packet.time_base or 0) > _LONGEST:
        packet.duration = 0


class Watch:
    """Compares what went into a decoder with what came out, in memory bounded by its delay.

    Pictures before the first that comes out are not missed: a recording that begins in the middle
    of a group has some that nobody can decode.

    Args: codec: FFmpeg's name of the codec.
          begin: ticks before which nothing is wanted; None: all is.
    """

    def __init__(self, codec: str, begin: int | None = None) -> None:
        self._counts = codec in _ONE_EACH
        self._sums = codec == "ffv1"
        self._summed = False
        self._unsound: set[int] = set()
        self._begin = begin
        self._waiting: set[int] = set()
        self._late: set[int] = set()
        self._last: int | None = None
        self._step = self._run = self._length = 0
        self._leapt = False  # A gap, if the clock turns out to be regular.
        self.missing = 0
        """Packets of the video from which nothing came, and after which others did."""
        self.gaps = 0
        """Places at which a regular clock leaps over some pictures."""
        self._doubtful = 0
        self.marked = 0
        """Packets of the video that the container marks as damaged."""

    def sent(self, packet: Packet) -> None:
        """A packet goes into the decoder."""
        self.marked += packet.is_corrupt
        if self._sums and packet.pts is not None:
            self._check(packet, packet.pts)
        if packet.pts is not None and not packet.is_discard and len(self._waiting) < _MOST_WAITING:
            self._waiting.add(packet.pts)

    def came(self, picture: VideoFrame) -> None:
        """A picture comes out; in order of presentation, as decoders give them."""
        if picture.interlaced_frame:  # Its fields may come in packets of their own.
            self._counts = False
        pts, last = picture.pts, self._last
        if pts is None:
            return
        if pts in self._late:  # It comes after all, out of order.
            self._late -= {pts}
            self.missing -= 1
        unsound = pts in self._unsound
        self._unsound = {time for time in self._unsound if time > pts}
        passed = {time for time in self._waiting if time < pts}
        self._waiting -= {*passed, pts}
        if self._begin is not None and pts < self._begin:
            return
        self._doubtful += unsound and not picture.is_corrupt
        if last is not None and pts > last:
            self._late = {*passed} if len(self._late) > _MOST_WAITING else self._late | passed
            self.missing += len(passed)
            self._compare(pts - last)
        self._last, self._length = pts if last is None else max(pts, last), picture.duration

    def _check(self, packet: Packet, pts: int) -> None:
        """Whether a packet fits its checksums; a stream has them if they ever fit."""
        if checksums.sound(bytes(packet)):
            self._summed = True
        elif len(self._unsound) < _MOST_WAITING:
            self._unsound.add(pts)

    def _compare(self, step: int) -> None:
        """Whether a step of time is like those before it."""
        times = round(step / self._step) if self._step else 1
        rounding = min(1 + times // 2, self._step / 4)
        if times < 1 or abs(step - times * self._step) > rounding:
            self._step, self._run, self._leapt = step, 0, False
        elif times == 1:
            self._run += 1
            if self._run == _REGULAR:
                self.gaps, self._leapt = self.gaps + self._leapt, False
        else:
            leapt = self._length < 0.7 * step
            self.gaps += leapt and self._run >= _REGULAR
            self._leapt |= leapt and self._run < _REGULAR
            self._run = 0

    def end(self) -> None:
        """The decoder has given everything: what still waits never comes."""
        if self._last is not None:
            self.missing += sum(time > self._last for time in self._waiting)
        self._waiting.clear()

    @property
    def patched(self) -> int:
        """Pictures that fail their checksums, but that the decoder does not mark as damaged."""
        return self._doubtful if self._summed else 0

    @property
    def lost(self) -> int:
        """`missing`, where that means anything."""
        return self.missing if self._counts else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, in words."""
        told = []
        if self.lost:
            told.append(f"damaged pictures are missing: {self.lost}")
        if self.marked:
            told.append(f"the file marks {self.marked} packets of its video as damaged")
        if self.gaps:
            told.append(f"pictures seem to be missing: times leap at {self.gaps} places")
        return tuple(told)
