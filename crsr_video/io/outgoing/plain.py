"""Pictures and nothing else: Y4M, and raw video.

Neither holds times, so readers take the frames to come evenly: a frame that is missing is replaced
by the one before it, and one too many is left out.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction

from av.codec import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.io.outgoing import yuv4mpeg
from crsr_video.io.outgoing.planning import SinkPlan
from crsr_video.io.outgoing.wire import Wire
from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame

_LONGEST_GAP = 1.0
"""Seconds that are filled up; after a longer silence the count begins anew."""


class Pace:
    """Keeps a steady rate: how often to write each frame.

    A frame may come up to one early or late, so that jitter neither repeats nor drops any.
    Args: rate: frames a second.
    """

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._start: Fraction | None = None
        self._written = 0

    def push(self, moment: Fraction) -> tuple[int, bool]:
        """How often the last frame is repeated, and whether this one is written.

        Args: moment: of the frame, in seconds.
        """
        if self._start is None:
            self._start = moment
        late = (moment - self._start) * self._rate - self._written
        if abs(late) > _LONGEST_GAP * self._rate:
            self._start, self._written, late = moment, 0, Fraction(0)
        if late <= -1:
            return 0, False
        repeats = int(late) if late >= 1 else 0
        self._written += repeats + 1
        return repeats, True


class PlainWriting:
    """Writes pictures into a wire, one after the other."""

    def __init__(
        self,
        wire: Wire,
        plan: SinkPlan,
        tell: Callable[[str], None] = lambda _: None,
        count: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin.

        Args:   count: called for every frame that is left out.
        Raises: OutputError: the pixel format has no raw form, or nothing can be written.
        """
        self._wire, self._plan, self._tell, self._count = wire, plan, tell, count
        self._pace = Pace(plan.rate)
        self._last: memoryview | None = None
        self._y4m = plan.container == "yuv4mpegpipe"
        with self._writing():
            context = CodecContext.create("rawvideo", "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height = plan.shape.size
            context.pix_fmt, context.time_base = plan.shape.pixel_format, plan.tick
            context.open()
            self._context = context
            if self._y4m:
                wire.write(yuv4mpeg.header(plan.shape, plan.rate))

    def push(self, picture: VideoFrame, frame: Frame) -> None:
        """Write a picture, or what a steady rate makes of it.

        Raises: OutputError: it cannot be written.
        """
        repeats, wanted = self._pace.push(frame.pts * frame.time_base)
        if not wanted:
            self._count()
            return
        self._tell("writing")
        with self._writing():
            for _ in range(repeats):
                self._write(self._last)
            picture.pts, picture.time_base = frame.pts, frame.time_base
            self._last = memoryview(self._context.encode(picture)[0])
            self._write(self._last)
        self._tell("idle")

    def _write(self, data: memoryview | None) -> None:
        if data is None:
            return
        if self._y4m:
            self._wire.write(yuv4mpeg.FRAME)
        self._wire.write(data)

    def push_packet(self, item: Passthrough) -> None:
        """There is no place for it."""

    def _writing(self) -> AbstractContextManager[None]:
        return pyav.translated(OutputError, f"{self._plan.target.name}: cannot be written")

    def finish(self) -> None:
        """Nothing is held back."""

    def drop(self) -> None:
        """Write nothing more."""
        self._wire.cut()
