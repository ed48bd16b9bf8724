"""Frame rates, and increasing timestamps for decoded pictures."""

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from crsr_video.io.pyav import Packet

_MOST_SENT, _LASTING_PICTURES = 1024, 32
_LEAP_STEPS = 3
"""A picture that comes later than this number of usual steps may have a wrong timestamp."""
_UNTIMED_FORMATS = frozenset(
    ("h264", "hevc", "vvc", "m4v", "mpegvideo", "cavsvideo", "vc1", "obu", "mjpeg", "ingenient")
)
"""FFmpeg's names of the containers without timestamps, for which it assumes 25 frames per second
unless the stream says otherwise."""


def frame_rate(video: VideoStream) -> Fraction | None:
    """Return the frames per second of a video, or None if they are unknown.

    FFmpeg's average rate is correct for variable rates too. But it is nonsense if the container
    only states the resolution of its clock, as for DV, an assumption if there are no timestamps at
    all, and inexact if timestamps are rounded. FFmpeg's guessed rate is returned in these cases.
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
        """Whether the timestamps were times of decoding instead of presentation. This is the case
        after a stream without timestamps was put into MP4."""
        self.made_up = 0
        """Number of pictures whose timestamp was replaced, for example because it was missing or
        ran backwards."""
        self.moved = 0
        """Number of these pictures whose timestamp contradicted that of a neighbour."""
        self._held: VideoFrame | None = None
        self._previous: int | None = None
        self._step = max(1, round(1 / ((frame_rate(video) or Fraction(25)) * self._base)))

    def packet_sent(self, packet: Packet) -> None:
        """Record the timestamp of a packet that is sent to the decoder."""
        if packet.is_discard or not self._may_be_decoding_times:
            return
        if packet.pts is None or packet.pts < self._latest:
            self._may_be_decoding_times = False  # Pictures are reordered, and their times too.
            self._sent.clear()
        else:
            self._latest = packet.pts
            self._sent.append(packet.pts)

    def without_outliers(
        self, pictures: Iterable[VideoFrame], *, is_end: bool
    ) -> Iterator[VideoFrame]:
        """Yield pictures, and correct a single timestamp that is later than the next one.

        A picture after a leap of the clock is held back until the next one comes. If the wrong
        timestamp stayed, all later pictures would have to follow it in steps of one tick.

        Args:
            pictures: Decoded pictures in order of presentation.
            is_end: Whether these are the last ones.
        """
        for picture in pictures:
            held, self._held = self._held, None
            if held is not None:
                self._correct(held, picture.pts)
                yield self._released(held)
            if self._leaps(picture.pts):
                self._held = picture
            else:
                yield self._released(picture)
        if is_end and self._held is not None:
            held, self._held = self._held, None
            yield self._released(held)

    def _leaps(self, pts: int | None) -> bool:
        if pts is None or self._previous is None or self._counts_pictures:
            return False
        return pts - self._previous > _LEAP_STEPS * self._step

    def _correct(self, held: VideoFrame, following: int | None) -> None:
        previous, pts = self._previous, held.pts
        if following is None or previous is None or pts is None or not previous < following <= pts:
            return
        held.pts = min(previous + self._step, max(previous + 1, (previous + following) // 2))
        self.made_up, self.moved = self.made_up + 1, self.moved + 1

    def _released(self, picture: VideoFrame) -> VideoFrame:
        pts, previous = picture.pts, self._previous
        if pts is not None:
            if previous is not None and previous < pts <= previous + _LEAP_STEPS * self._step:
                self._step = pts - previous
            self._previous = pts
        return picture

    def stamp(self, picture: VideoFrame) -> int:
        """Return the timestamp of the next picture."""
        pts, last = picture.pts, self._last
        if last is None:  # By its first picture, the decoder knows whether it reorders pictures.
            self._may_be_decoding_times &= self._video.codec_context.has_b_frames
        if self._counts_pictures:
            pts = picture.dts  # The last pictures have none.
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
            self.moved += 1
        self.made_up += pts != picture.pts
        self._last = pts
        return pts

    def _next_sent(self, pts: int | None) -> int:
        """Return the earliest timestamp that was not given to a picture yet.

        If the decoder fails to decode a picture, its timestamp stays unused, and all later pictures
        get times that are too early. One timestamp is skipped when this was the case for each of
        the last `_LASTING_PICTURES` pictures.
        """
        earliest = self._sent.popleft()
        self._lags.append(0 if pts is None else pts - earliest)
        if len(self._lags) == _LASTING_PICTURES and min(self._lags) > 0 and self._sent:
            self._lags.clear()
            earliest = self._sent.popleft()
        return earliest
