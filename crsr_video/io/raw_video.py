"""Raw video: consecutive pictures without timestamps, and with headers in Y4M.

Source of the Y4M header: mjpegtools' yuv4mpeg(5), and FFmpeg's extensions for higher bit depths,
gray and alpha.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction

from av.codec import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from crsr_video.errors import OutputError
from crsr_video.io import encoders, pyav
from crsr_video.io.containers import Y4M_FORMATS
from crsr_video.io.destinations.byte_streams import ByteStream
from crsr_video.io.output_plan import OutputPlan
from crsr_video.io.pictures import PictureShape
from crsr_video.io.session import OutputSession
from crsr_video.types import Frame

_FRAME = b"FRAME\n"
_LONGEST_GAP = 1.0
"""Longest gap in seconds that is filled with repeated pictures. A longer one resets the count."""


class RawVideo(OutputSession):
    """Writes raw pictures to a stream.

    A recorded result holds every frame once. A live result has a steady rate, because readers
    expect evenly spaced frames: a missing frame is replaced by the previous one, and surplus frames
    are dropped.

    Args:
        stream: Stream that receives the pictures.
        plan: Plan of the output.
        on_drop: Called for every frame that is dropped.
    """

    def __init__(
        self, stream: ByteStream, plan: OutputPlan, on_drop: Callable[[], None] = lambda: None
    ) -> None:
        self._stream, self._plan, self._on_drop = stream, plan, on_drop
        self._rate = _SteadyRate(plan.timing.rate) if plan.is_live else None
        self._last: memoryview | None = None
        self._frame_header = _FRAME if plan.destination.container == "yuv4mpegpipe" else b""
        with self._writing():
            context = CodecContext.create(encoders.RAW, "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height = plan.shape.size
            context.pix_fmt, context.time_base = plan.pixel_format, plan.timing.tick
            context.options = dict(plan.choice.options)
            context.open()
            encoders.refuse_unknown(context.options, plan.encoder)
            self._context = context
            if self._frame_header:
                stream.write(y4m_header(plan.shape, plan.timing.rate))

    def push(self, picture: VideoFrame, frame: Frame) -> None:
        """Write a picture. To keep a steady rate, drop it, or repeat the previous one first."""
        repeats = 0 if self._rate is None else self._rate.repeats(frame.pts * frame.time_base)
        if repeats is None:
            self._on_drop()
            return
        with self._writing():
            for _ in range(repeats):
                self._write(self._last)
            picture.pts, picture.time_base = frame.pts, frame.time_base
            data = memoryview(self._context.encode(picture)[0])
            if self._rate is not None:
                self._last = data
            self._write(data)

    def _write(self, data: memoryview | None) -> None:
        if data is not None:
            self._stream.write(self._frame_header)
            self._stream.write(data)

    def _writing(self) -> AbstractContextManager[None]:
        return pyav.translated(OutputError, f"{self._plan.name}: cannot be written")

    def drop(self) -> None:
        """Write nothing more."""
        self._stream.cancel()


class _SteadyRate:
    """Decides how often each frame is written to hold a steady rate.

    A frame may come up to one frame duration early or late, so that jitter has no effect.
    """

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._start: Fraction | None = None
        self._written = 0

    def repeats(self, moment: Fraction) -> int | None:
        """Return how often the previous frame is repeated, or None if this one is dropped.

        Args:
            moment: Time of the frame in seconds.
        """
        if self._start is None:
            self._start = moment
        late = (moment - self._start) * self._rate - self._written
        if abs(late) > _LONGEST_GAP * self._rate:
            self._start, self._written, late = moment, 0, Fraction(0)
        if late <= -1:
            return None
        repeats = int(late) if late >= 1 else 0
        self._written += repeats + 1
        return repeats


def y4m_header(shape: PictureShape, rate: Fraction) -> bytes:
    """Return the first line of a Y4M stream.

    Args:
        shape: Shape of the pictures, in one of `Y4M_FORMATS`.
        rate: Frames per second.
    """
    aspect, colour = shape.sample_aspect, Y4M_FORMATS[shape.pixel_format]
    if colour == "420":
        colour = "420mpeg2 XYSCSS=420MPEG2" if shape.x_cosited else "420jpeg XYSCSS=420JPEG"
    fields = {"progressive": "p", "top": "t", "bottom": "b"}[shape.interlaced]
    words = (
        f"YUV4MPEG2 W{shape.width} H{shape.height} F{rate.numerator}:{rate.denominator} I{fields}",
        f"A{aspect.numerator}:{aspect.denominator} C{colour}",
        f"XCOLORRANGE={'FULL' if shape.full_range else 'LIMITED'}",
    )
    return (" ".join(words) + "\n").encode("ascii")
