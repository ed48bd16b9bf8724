"""One encoded output: a container with encoded frames and with packets of other streams."""

import os
from abc import abstractmethod
from contextlib import AbstractContextManager, suppress
from fractions import Fraction
from pathlib import Path

import av
from av.codec.context import Flags, ThreadType
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from crsr_video.errors import EncoderError, OutputError
from crsr_video.io import encoders, limits, mp4_boxes, picture_properties, pyav
from crsr_video.io.clock import EncoderClock
from crsr_video.io.containers import MOV
from crsr_video.io.copied_streams import LiveStreams, RecordedStreams, StreamTemplates
from crsr_video.io.destinations.byte_streams import ByteStream
from crsr_video.io.encoder_options import (
    KEEP_USER_DATA,
    hdr_options,
    limited_range_options,
    merge_parameters,
)
from crsr_video.io.losses import INTERLACED, keeps_mapping, late_side_data
from crsr_video.io.muxer_options import keeps_times
from crsr_video.io.output_plan import OutputPlan
from crsr_video.io.pictures import describe_pictures
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.session import OutputSession
from crsr_video.io.source import RecordedSource
from crsr_video.io.tags import copy_container_tags, copy_stream_tags
from crsr_video.types import Frame

_BUFFER = 1 << 20
"""Size of FFmpeg's write buffer in bytes, so that a whole picture is usually written at once."""
_SLICES, _MANY_PIXELS = 2, 600_000
"""Number of slices, and threads, of a live encoder for pictures of more than this many pixels."""
_EARLY_SECONDS = 0.1
"""Seconds above which sound that comes too early is reported. Delays of encoders are shorter."""
_LONGEST_WAIT = 10_000
"""Most ticks before the first frame of an AVI file that are filled with empty packets."""


class Muxer(OutputSession):
    """Encodes frames, and writes them and the packets of other streams into a container.

    Args:
        target: A stream, or a path to which FFmpeg itself writes.
        plan: Plan of the output.
        sample: A picture with the colour tags of the pictures to come.
        first: The first frame, with the side data of the frames to come.

    Raises:
        EncoderError: The encoder refuses its settings.
        OutputError: The container cannot be written.
    """

    def __init__(
        self,
        target: ByteStream | Path,
        plan: OutputPlan,
        sample: VideoFrame,
        first: Frame,
    ) -> None:
        self._target, self._plan = target, plan
        self._sample, self._first = sample, first
        self._clock = EncoderClock(plan.timing)
        self._copies_video = False
        with self._writing():
            self._container: OutputContainer = av.open(
                f"file:{target}" if isinstance(target, Path) else target,
                "w",
                format=plan.destination.muxer,
                container_options=dict(plan.muxer_options),
                metadata_errors="surrogateescape",
                buffer_size=_BUFFER,
            )
        try:
            with self._writing():
                self._add_streams()
        except BaseException:
            self.drop()
            raise
        del self._sample, self._first  # They may be large.

    @abstractmethod
    def _add_streams(self) -> None:
        """Add the video and the copied streams, and write the header."""

    def _add_video(self) -> None:
        choice, timing, shape = self._plan.choice, self._plan.timing, self._plan.shape
        with pyav.translated(EncoderError, encoders.refusal_of(choice.encoder)):
            stream = self._container.add_stream(choice.encoder, timing.rate)
            assert isinstance(stream, VideoStream)
            context = self._context = stream.codec_context
            self._stream = stream
            context.time_base, stream.time_base = timing.encoder_base, timing.tick
            if not timing.counts_frames:
                context.flags |= Flags.frame_duration
            marks_fields = choice.encoder in INTERLACED
            describe_pictures(context, shape, self._sample, marks_fields=marks_fields)
            if self._plan.container in MOV and context.codec.canonical_name == "hevc":
                context.codec_tag = "hvc1"  # Apple's players know no other tag.
            self._configure()
            options = self._with_side_data(dict(choice.options))
            if context.color_range == pyav.LIMITED_RANGE:
                tags = context.color_primaries, context.color_trc, context.colorspace
                options = merge_parameters(options, limited_range_options(choice.encoder, tags))
            if options.get("b", "").isdigit():  # Some encoders compare the two.
                context.bit_rate_tolerance = max(int(options["b"]), 128_000)
            context.options = options
            with encoders.explained_refusals(context):
                context.open()
        encoders.refuse_unknown(context.options, choice.encoder)

    @abstractmethod
    def _configure(self) -> None:
        """Configure the encoder in the ways in which recorded and live outputs differ."""

    def _with_side_data(self, options: dict[str, str]) -> dict[str, str]:
        """Pass on the rotation, HDR metadata and user data of the first frame.

        Returns:
            The encoder options, with those that the side data needs.
        """
        attached = picture_properties.side_data(self._first.native)
        if "SEI_UNREGISTERED" in attached and self._plan.encoder in KEEP_USER_DATA:
            options = {"udu_sei": "1"} | options
        matrix = picture_properties.display_matrix(attached)
        if matrix is not None:
            scale = self._plan.shape.width // self._first.width or 1
            shift = [v * scale for v in matrix[6:8]]
            self._stream.set_display_matrix([*matrix[:6], *shift, *matrix[8:]])
        return merge_parameters(options, hdr_options(self._plan.encoder, attached)[0])

    # Writing ------------------------------------------------------------------------------------

    def _encode(self, picture: VideoFrame | None) -> None:
        """Encode a picture and write the packets. None flushes what the encoder holds back."""
        self.state = "encoding"
        with pyav.translated(EncoderError, f"{self._plan.encoder} failed"):
            packets: list[Packet] = self._context.encode(picture)
        self.state = "writing"
        with self._writing():
            for packet in packets:
                packet.stream = self._stream
                self._clock.restore(packet)
                self._container.mux(packet)

    def _writing(self) -> AbstractContextManager[None]:
        return pyav.translated(OutputError, f"{self._plan.name}: cannot be written")

    # Ending -------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write the frames that the encoder still holds, and the end of the container."""
        if not self._copies_video:
            self._encode(None)
        with self._writing():
            self._container.close()

    def drop(self) -> None:
        """Free the container without writing anything more to a stream."""
        if isinstance(self._target, ByteStream):
            self._target.cancel()  # PyAV then writes no trailer.
        with suppress(FFmpegError, OSError, ValueError, OutputError):
            self._container.close()


class RecordedMuxer(Muxer):
    """A muxer that keeps the timestamps, the metadata and all streams of a recorded source.

    Args:
        target: As for `Muxer`.
        plan: As for `Muxer`.
        sample: As for `Muxer`.
        source: The source.
        threads: Number of threads of the encoder. With 0, the encoder chooses it.
    """

    def __init__(
        self,
        target: ByteStream | Path,
        plan: OutputPlan,
        sample: VideoFrame,
        source: RecordedSource,
        threads: int = 0,
    ) -> None:
        self._source, self._threads = source, threads
        self._has_video = self._loses_fields = False
        self._side_data = picture_properties.SideDataReader()
        self._first_kinds = frozenset(picture_properties.side_data(source.first.native))
        self._late_kinds: set[str] = set()
        super().__init__(target, plan, sample, source.first)

    def _add_streams(self) -> None:
        source, container = self._source, self._plan.container
        self._others = RecordedStreams(self._container, container, source, self._plan.carried)
        for stream in source.container.streams:
            if stream.index == source.video.index:
                self._add_video()
            else:
                self._others.add_from_source(stream)
        copy_container_tags(source, self._container)
        self._container.start_encoding()
        self._others.add_covers()

    def _configure(self) -> None:
        width, height = self._plan.shape.size
        threads = self._threads or 2 * (os.cpu_count() or 1)
        allowed = limits.threads_for(threads, width, height)
        self._context.thread_count = self._threads if allowed == threads else allowed
        if width * height > limits.GIANT_PIXELS:  # Frame threads hold a frame each.
            self._context.thread_type = ThreadType.SLICE
        copy_stream_tags(self._source.video, self._stream)
        if self._plan.has_separate_alpha:
            self._stream.metadata["alpha_mode"] = "1"  # Players look for it here.

    @property
    def notices(self) -> tuple[str, ...]:
        """Changes and losses that occurred while the result was written."""
        count = self._others.repaired
        moved = f"{count} packets ran backwards in time and were moved"
        return (*((moved,) if count else ()), *self.losses)

    @property
    def losses(self) -> tuple[str, ...]:
        """Losses that occurred while the result was written, and that the plan did not foresee."""
        found = late_side_data(self._late_kinds, self._plan.encoder)
        if self._loses_fields:
            line = "interlaced pictures begin midway: they are not marked as interlaced"
            found = (line, *found)
        if self._others.early_seconds > _EARLY_SECONDS:
            early = float(self._others.early_seconds)
            found += (f"avi plays sound without pauses: it comes up to {early:.1f} s too early",)
        return found

    @property
    def parameters(self) -> bytes:
        """Headers that decoders need before the first picture (FFmpeg's extradata)."""
        return bytes(self._context.extradata or b"")

    def push(self, picture: VideoFrame, frame: Frame) -> None:
        """Encode and write a picture with the times of its frame."""
        has_fields = frame.interlaced != "progressive"
        self._loses_fields |= has_fields and self._plan.shape.interlaced == "progressive"
        if frame.native is not None:
            self._late_kinds |= self._side_data.read(frame.native).keys() - self._first_kinds
        picture.pts, picture.time_base = self._clock.stamp(frame, picture.duration)
        self._begin_video(round(frame.pts * frame.time_base / self._plan.timing.tick))
        self._encode(picture)

    def push_encoded(self, packet: Packet) -> None:
        """Write a packet that another encoder with the same settings made.

        Args:
            packet: The next packet in decoding order, with all its times in ticks of the container.
        """
        self._copies_video = True
        self._begin_video(packet.pts or 0)
        with self._writing():
            packet.stream, packet.time_base = self._stream, self._plan.timing.tick
            self._container.mux(packet)

    def _begin_video(self, ticks: int) -> None:
        """Fill the time before the first frame in AVI, which cannot start a stream later."""
        if self._has_video:
            return
        self._has_video = True
        if self._plan.container != "avi" or self._plan.choice.options.get("bf", "0") != "0":
            return  # Reordered pictures need the time before the first one.
        timing, delay = self._plan.timing, 0
        if self._plan.encoder in ("mpeg1video", "mpeg2video"):  # They decode one frame earlier.
            delay = max(1, round(1 / (timing.rate * timing.tick)))
        with self._writing():
            for tick in range(min(ticks - delay, _LONGEST_WAIT)):
                packet: Packet = av.Packet(b"")
                packet.stream, packet.time_base = self._stream, timing.tick
                packet.pts = packet.dts = tick
                self._container.mux(packet)

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet, if its stream is copied."""
        if self._others.holds(item.stream):
            with self._writing():
                self._others.push(item.stream, item.packet)

    def finish(self) -> None:
        """Write what the encoder and the copied streams still hold, and end the container."""
        streams, facts = self._container.streams, self._source.facts
        tracks = [s.index for s in streams if not s.disposition & Disposition.attached_pic]
        with self._writing():
            self._others.finish()
        super().finish()
        if isinstance(self._target, Path) and keeps_mapping(facts, self._plan.container):
            with self._writing():
                number = tracks.index(self._stream.index)
                mp4_boxes.add_to_track(self._target, number, facts.entry_boxes, facts.track_boxes)


class LiveMuxer(Muxer):
    """A muxer with low latency. Its source may change, and its timestamps always increase.

    Args:
        target: As for `Muxer`.
        plan: As for `Muxer`.
        sample: As for `Muxer`.
        first: As for `Muxer`.
        templates: The streams that are copied.
    """

    def __init__(
        self,
        target: ByteStream | Path,
        plan: OutputPlan,
        sample: VideoFrame,
        first: Frame,
        templates: StreamTemplates,
    ) -> None:
        self._templates = templates
        self._last: int | None = None
        self._last_keyframe: Fraction | None = None
        super().__init__(target, plan, sample, first)

    def _add_streams(self) -> None:
        self._add_video()
        keeps = keeps_times(self._plan.muxer_options)
        container = self._plan.destination.muxer
        self._others = LiveStreams(self._container, container, keeps_times=keeps)
        for number, template in self._templates.kept.items():
            self._others.add(number, template)
        self._container.start_encoding()

    def _configure(self) -> None:
        shape, rate = self._plan.shape, self._plan.timing.rate
        slices = _SLICES if shape.width * shape.height > _MANY_PIXELS else 1
        self._context.thread_type, self._context.thread_count = ThreadType.SLICE, slices
        self._context.gop_size = max(1, round(10 * rate))  # `_is_keyframe` sets keyframes.

    def push(self, picture: VideoFrame, frame: Frame) -> None:
        """Encode and write a picture with the times of its frame."""
        kind = PictureType.I if self._is_keyframe(frame) else PictureType.NONE
        picture.pict_type = int(kind)
        base = self._plan.timing.encoder_base
        pts, time_base = self._clock.stamp(frame, picture.duration)
        ticks = round(pts * time_base / base)
        if self._last is not None:
            ticks = max(ticks, self._last + 1)  # An earlier source may have had finer ticks.
        self._last = ticks
        picture.pts, picture.time_base = ticks, base
        self._encode(picture)

    def _is_keyframe(self, frame: Frame) -> bool:
        """Decide by timestamps: if frames were counted, dropped ones would delay a keyframe."""
        now, last = frame.pts * frame.time_base, self._last_keyframe
        if last is not None and now - last < self._plan.keyframe_seconds:
            return False
        self._last_keyframe = now
        return True

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet, if its stream is copied."""
        number = self._templates.number(item)
        if number is not None and self._others.holds(number):
            with self._writing():
                self._others.push(number, item.packet)

    def finish(self) -> None:
        """Write the frames that the encoder still holds, and the end of the container."""
        self._copies_video = self._last is None  # An encoder without a frame has nothing to flush.
        super().finish()
