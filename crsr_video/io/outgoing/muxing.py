"""One stream being written: frames through an encoder, sound as it comes, all into a container."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from fractions import Fraction
from pathlib import Path

import av
from av.codec.context import Flags, ThreadType
from av.error import FFmpegError
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from crsr_video.errors import EncoderError, OutputError
from crsr_video.imaging.colour import MATRIX_CODES, matrix_name
from crsr_video.io import encoders, pyav
from crsr_video.io.clock import Clock
from crsr_video.io.hdr import hdr_options
from crsr_video.io.outgoing import adts
from crsr_video.io.outgoing.muxers import file_options, keeps_times, live_options
from crsr_video.io.outgoing.planning import SinkPlan
from crsr_video.io.outgoing.tracks import Tracks
from crsr_video.io.outgoing.wire import Wire
from crsr_video.io.pictures import describe_fields
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.quality import merge_parameters
from crsr_video.io.refusals import explained
from crsr_video.types import Frame

_BUFFER = 1 << 20
"""Bytes that FFmpeg hands on at once: a whole picture wherever possible."""
_THREADS, _MANY_PIXELS = 2, 600_000
"""Of an encoder, each for a slice of a picture that is worth it: more would fight with the rest."""


class Muxing:
    """Writes into a wire, or, where FFmpeg has to do that itself, into a file.

    Args:   first: a frame with the side data of those to come, if it has any.
            tell: is told "encoding" and "writing".
    Raises: EncoderError: the encoder refuses its settings. OutputError: nothing can be written.
    """

    def __init__(
        self,
        to: Wire | Path,
        plan: SinkPlan,
        sample: VideoFrame,
        first: Frame,
        tracks: Tracks,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._to, self._plan, self._tracks, self._tell = to, plan, tracks, tell
        self._clock = Clock(plan.tick, plan.rate, counted=plan.choice.counted)
        self._last: int | None = None
        self._last_key: Fraction | None = None
        self._copied: dict[int, Stream] = {}
        self._strips = plan.container in adts.WITHOUT_HEADERS
        self._last_copied: dict[int, int] = {}
        with self._writing():
            self._open(sample, first)

    # Opening ------------------------------------------------------------------------------------

    def _open(self, sample: VideoFrame, first: Frame) -> None:
        container = "nut" if self._plan.container == "rtsp" else self._plan.container
        if isinstance(self._to, Wire):
            options = live_options(container)
        else:
            options = file_options(container, self._to, self._plan.tick)
        self._keeps_times = keeps_times(options)
        self._container = av.open(
            self._to if isinstance(self._to, Wire) else f"file:{self._to}",
            "w",
            format=container,
            container_options=options,
            buffer_size=_BUFFER,
        )
        self._add_video(sample, first)
        for number, template in self._tracks.kept.items():
            self._copied[number] = self._container.add_stream_from_template(template, opaque=True)
        self._container.start_encoding()

    def _add_video(self, sample: VideoFrame, first: Frame) -> None:
        choice, shape = self._plan.choice, self._plan.shape
        device = encoders.needs_device(choice.encoder)
        why = "finds no device here" if device else "refuses its settings"
        with pyav.translated(EncoderError, f"{choice.encoder} {why}"):
            stream = self._container.add_stream(choice.encoder, self._clock.rate)
            assert isinstance(stream, VideoStream)
            context = self._context = stream.codec_context
            self._stream = stream
            context.time_base, stream.time_base = self._clock.encoder_base, self._clock.tick
            if not self._clock.counted:
                context.flags |= Flags.frame_duration
            context.width, context.height, context.pix_fmt = *shape.size, shape.pixel_format
            _tag(context, sample, shape.matrix)
            context.sample_aspect_ratio = shape.sample_aspect
            describe_fields(context, shape.interlaced, inside=True)
            threads = _THREADS if shape.width * shape.height > _MANY_PIXELS else 1
            context.thread_type, context.thread_count = ThreadType.SLICE, threads
            context.gop_size = max(1, round(10 * self._plan.rate))  # `_begin_group` is exact.
            options = self._with_side_data(stream, dict(choice.options), first)
            context.options = options
            with explained(context):
                context.open()
        encoders.leftover(context.options, choice.encoder)

    def _with_side_data(
        self, stream: VideoStream, options: dict[str, str], first: Frame
    ) -> dict[str, str]:
        """Hand on rotation and HDR, which hang on the first frame."""
        attached = pyav.side_data(first.native) if first.native is not None else {}
        matrix = pyav.display_matrix(attached)
        if matrix is not None:
            stream.set_display_matrix(list(matrix))
        return merge_parameters(options, hdr_options(self._plan.choice.encoder, attached)[0])

    # Writing ------------------------------------------------------------------------------------

    def push(self, picture: VideoFrame, frame: Frame) -> None:
        """Encode and write a picture.

        Raises: OutputError: it cannot be written.
        """
        picture.pict_type = int(PictureType.NONE)
        self._begin_group(picture, frame)
        pts, base = self._clock.stamp(frame, picture.duration)
        ticks = round(pts * base / self._clock.encoder_base)
        if self._last is not None:
            ticks = max(ticks, self._last + 1)  # Where another source had finer ticks.
        self._last = ticks
        picture.pts, picture.time_base = ticks, self._clock.encoder_base
        self._encode(picture)

    def _begin_group(self, picture: VideoFrame, frame: Frame) -> None:
        """A keyframe by the clock: frames that are left out would stretch a counted group."""
        now = frame.pts * frame.time_base
        if self._last_key is None or now - self._last_key >= self._plan.keyframe_seconds:
            self._last_key = now
            picture.pict_type = int(PictureType.I)

    def _encode(self, picture: VideoFrame | None) -> None:
        self._tell("encoding")
        with pyav.translated(EncoderError, f"{self._plan.choice.encoder} failed"):
            packets: list[Packet] = self._context.encode(picture)
        self._tell("writing")
        with self._writing():
            for packet in packets:
                packet.stream = self._stream
                self._clock.restore(packet)
                self._container.mux(packet)
        self._tell("idle")

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet of a stream that the container holds.

        Raises: OutputError: it cannot be written.
        """
        number, packet = self._tracks.place(item.stream), item.packet
        if number is None:
            return
        moment = packet.dts if packet.dts is not None else packet.pts
        if moment is None or packet.time_base is None:
            return
        stream, base = self._copied[number], packet.time_base
        if self._strips:
            packet = adts.bare(packet)
        if moment < 0 and self._keeps_times:
            return  # What an audio encoder needs to begin with; it would move all times.
        last = self._last_copied.get(number)
        target = stream.time_base or base
        ticks = round(moment * base / target)
        if last is not None and ticks <= last:
            return  # Said twice, or a source that was connected to anew went back.
        self._last_copied[number] = ticks
        packet.dts = moment
        if packet.pts is None:
            packet.pts = moment
        packet.stream = stream
        packet.time_base = base
        self._tell("writing")
        with self._writing():
            self._container.mux(packet)
        self._tell("idle")

    def _writing(self) -> AbstractContextManager[None]:
        return pyav.translated(OutputError, f"{self._plan.target.name}: cannot be written")

    # Ending -------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write what the encoder holds, and the container's end.

        Raises: OutputError: it cannot be written.
        """
        if self._last is not None:
            self._encode(None)
        with self._writing():
            self._container.close()

    def drop(self) -> None:
        """Free the container without a word more on the wire."""
        if isinstance(self._to, Wire):
            self._to.cut()  # PyAV then writes no trailer.
        with suppress(FFmpegError, OSError, ValueError, OutputError):
            self._container.close()


def _tag(context: VideoCodecContext, sample: VideoFrame, matrix: str) -> None:
    """Tell the encoder what the colours mean, also where nobody has said so and it follows."""
    context.color_range = sample.color_range
    tag, fmt = int(sample.colorspace), pyav.pixel_format(sample.format.name)
    if fmt is not None and fmt.family == "yuv":
        known = matrix_name(tag, sample.width, sample.height) == matrix
        context.colorspace = tag if known else MATRIX_CODES[matrix]
    context.color_primaries = sample.color_primaries
    context.color_trc = sample.color_trc
