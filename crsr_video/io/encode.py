"""Write a video: frames through an encoder, everything else as it came.

The file appears under its name only when it is complete: until then it grows beside it under a
hidden name, which disappears if anything goes wrong. What goes to standard output leaves at once.
"""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError, OutputError
from crsr_video.io import encoders, pipes, pyav, streams
from crsr_video.io.clock import Clock, nominal_rate
from crsr_video.io.encoders import available_encoders
from crsr_video.io.hdr import hdr_options
from crsr_video.io.losses import INTERLACED
from crsr_video.io.output_file import OutputFile, check_output, publish
from crsr_video.io.pictures import describe_picture, picture_of
from crsr_video.io.plan import BARE, MOV, OutputPlan, avi_clock, plan_output
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.quality import merge_parameters
from crsr_video.io.refusals import explained
from crsr_video.io.source import HasSource
from crsr_video.types import Frame

__all__ = ["Encoder", "OutputPlan", "available_encoders", "check_output", "plan_output"]


class Encoder:
    """A video being written; a context manager that gives up when left by an exception."""

    plan: OutputPlan

    def __init__(
        self,
        path: str | Path | None,
        decoder: HasSource,
        settings: OutputSettings | None = None,
        *,
        scale: int = 1,
        overwrite: bool = False,
        threads: int = 0,
        plan: OutputPlan | None = None,
        alone: bool = True,
    ) -> None:
        """Open the encoder and the file.

        Args: path: of the result; None: beside the source; "-": standard output.
              scale: size of the frames to come over the source's.
              threads: of the encoder; 0: as it likes.
              plan: what to write, in place of what follows from path and settings.
              alone: keep others from writing the same file.
        Raises: OutputError: the file cannot be written, exists, is the source itself, or is being
                written by another run.
                EncoderError: the encoder does not exist or refuses the settings.
        """
        settings = settings or OutputSettings()
        self.plan = plan or plan_output(
            decoder, Path(path) if path else None, settings, scale=scale
        )
        self._source, self._scale = decoder.source, scale
        self._notices = dict.fromkeys(self.plan.notices)
        self._frames = 0
        self._clock = self._make_clock()
        self._done = self._coded = False
        self._waiting: deque[Passthrough] = deque()
        self._target: OutputFile | pipes.Outlet
        if self.plan.is_pipe:
            self._target = pipes.Outlet()
        else:
            known = None if self._source.is_pipe else self._source.path
            self._target = OutputFile(self.plan.path, known, overwrite=overwrite, alone=alone)
        try:
            self._open(threads)
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def interrupt(self) -> None:
        """Let go whoever waits, in whatever thread, for a reader of standard output."""
        self._target.interrupt()

    @property
    def notices(self) -> tuple[str, ...]:
        """What the result cannot hold or was changed, in words."""
        repaired = self._carrier.repaired
        more = (f"{repaired} packets ran backwards in time and were moved",) if repaired else ()
        return (*self._notices, *more)

    def _make_clock(self) -> Clock:
        info, avi = self._source.info, self.plan.container == "avi"
        tick = avi_clock(self._source) if avi else info.time_base
        rate = 1 / tick if avi else nominal_rate(info, self.plan.encoder)
        bare = self.plan.container in BARE
        return Clock(1 / rate if bare else tick, rate, counted=self.plan.choice.counted or avi)

    # Opening ------------------------------------------------------------------------------------

    def _open(self, threads: int) -> None:
        source, plan = self._source, self.plan
        with self._writing():
            options = streams.container_options(source, plan.container, self._clock.tick)
            if plan.is_pipe:
                options |= streams.pipe_options(plan)
            target = self._target
            self._container = av.open(
                f"file:{target.temporary}" if isinstance(target, OutputFile) else target,
                "w",
                format=plan.container,
                container_options=options,
                metadata_errors="surrogateescape",
                buffer_size=_BUFFER,
            )
            self._carrier = streams.Carrier(source, self._container, plan)
            for stream in source.container.streams:
                if stream.index == source.video.index:
                    self._add_video(threads)
                else:
                    self._carrier.add(stream)
            streams.describe_all(source, self._container)
            self._container.start_encoding()
            self._carrier.add_covers()

    def _add_video(self, threads: int) -> None:
        choice = self.plan.choice
        if choice.encoder == "libsvtav1":  # There is no other way to stop its talk on stderr.
            os.environ.setdefault("SVT_LOG", "0")
        why = (
            "finds no device here"
            if encoders.needs_device(choice.encoder)
            else "refuses its settings"
        )
        with pyav.translated(EncoderError, f"{choice.encoder} {why}"):
            stream = self._container.add_stream(choice.encoder, self._clock.rate)
            assert isinstance(stream, VideoStream)
            self._stream, self._context = stream, stream.codec_context
            self._context.time_base = self._clock.encoder_base
            stream.time_base = self._clock.tick
            if not self._clock.counted:
                self._context.flags |= Flags.frame_duration
            interlaced = choice.encoder in INTERLACED
            describe_picture(
                self._context, self._source.first, choice.pixel_format, self._scale, interlaced
            )
            if self.plan.container in MOV and self._context.codec.canonical_name == "hevc":
                self._context.codec_tag = "hvc1"  # The only one that Apple's players know.
            self._context.thread_count = threads
            streams.describe(self._source.video, stream)
            options = dict(choice.options)
            options = self._with_side_data(options)
            if options.get("b", "").isdigit():  # Some check the one against the other.
                self._context.bit_rate_tolerance = max(int(options["b"]), 128_000)
            self._context.options = options
            with explained(self._context):
                self._context.open()
        encoders.leftover(self._context.options, choice.encoder)

    def _with_side_data(self, options: dict[str, str]) -> dict[str, str]:
        """Hand on rotation and HDR, which hang on the first frame."""
        attached = pyav.side_data(self._source.first.native)
        matrix = pyav.display_matrix(attached)
        if matrix is not None:
            shift = [v * self._scale for v in matrix[6:8]]
            self._stream.set_display_matrix([*matrix[:6], *shift, *matrix[8:]])
        return merge_parameters(options, hdr_options(self.plan.encoder, attached)[0])

    # Writing ------------------------------------------------------------------------------------

    def push(self, frame: Frame) -> None:
        """Encode one frame, in presentation order.

        Raises: OutputError: the file cannot be written any more.
        """
        picture = picture_of(frame, self._source.first, self.plan.pixel_format)
        picture.pts, picture.time_base = self._clock.stamp(frame, picture.duration)
        if self._frames == 0 and self.plan.container == "avi":
            self._wait_for(round(frame.pts * frame.time_base / self._clock.tick))
        self._frames += 1
        self._encode(picture)
        self._release(frame.pts * frame.time_base)

    @property
    def clock(self) -> Fraction:
        """The tick in which the result counts time."""
        return self._clock.tick

    @property
    def parameters(self) -> bytes:
        """What the encoder wants decoders to know before the first picture."""
        return bytes(self._context.extradata or b"")

    def push_coded(self, packet: Packet) -> None:
        """Write a packet of the video that an encoder with the same settings has made.

        Args: packet: in the order of decoding, all of its times in ticks of `clock`.
        Raises: OutputError: the file cannot be written any more.
        """
        self._coded = True
        if self._frames == 0 and self.plan.container == "avi":
            self._wait_for(packet.pts or 0)
        self._frames += 1
        with self._writing():
            packet.stream, packet.time_base = self._stream, self._clock.tick
            self._container.mux(packet)

    def _wait_for(self, ticks: int) -> None:
        """Empty packets, for AVI cannot say that a stream begins later than others."""
        if self.plan.choice.options.get("bf", "0") != "0":
            return  # Reordered pictures need the time before the first one.
        with self._writing():
            for tick in range(min(ticks, _LONGEST_WAIT)):
                packet: Packet = av.Packet(b"")
                packet.stream, packet.time_base = self._stream, self._clock.tick
                packet.pts = packet.dts = tick
                self._container.mux(packet)

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet of another stream.

        Raises: OutputError: the file cannot be written any more.
        """
        if self.plan.is_raw_pipe:
            self._waiting.append(item)
            return
        with self._writing():
            self._carrier.push(item)

    def _release(self, time: Fraction | None) -> None:
        """Copy the packets that are due; None: all.

        Packets overtake the pictures that the stages hold back. A file's muxer sorts that out, but
        would have to hold pictures, too, to be safe; raw ones are too large for it.
        """
        with self._writing():
            while self._waiting and (time is None or _due(self._waiting[0].packet) <= time):
                self._carrier.push(self._waiting.popleft())

    def _encode(self, picture: VideoFrame | None) -> None:
        """Encode a picture, or what is still held back, and write what comes out."""
        with pyav.translated(EncoderError, f"{self.plan.encoder} failed"):
            packets: list[Packet] = self._context.encode(picture)
        with self._writing():
            for packet in packets:
                packet.stream = self._stream
                self._clock.restore(packet)
                self._container.mux(packet)

    def _writing(self) -> AbstractContextManager[None]:
        return _through(self._target, self.plan.name)

    # Ending -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises: OutputError: it could not be completed; nothing is left behind.
        """
        if self._done:
            return
        try:
            if not self._frames:
                raise OutputError(f"{self.plan.name}: not written, for no frame came")
            if not self._coded:
                self._encode(None)
            self._release(None)
            with self._writing():
                self._container.close()
                self._target.check()
                if isinstance(self._target, OutputFile):
                    publish(self._target.temporary, self.plan.path)
            self._done = True
            self._target.finish()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Give up: nothing stays on the disk. Does nothing after `close`."""
        if self._done:
            return
        self._done = True
        self._target.interrupt()
        container = getattr(self, "_container", None)
        if container is not None:
            with suppress(FFmpegError, OSError, ValueError):
                container.close()
        self._target.discard()


@contextmanager
def _through(target: OutputFile | pipes.Outlet, name: str) -> Iterator[None]:
    """Tell why writing failed: the target may know better than FFmpeg does."""
    try:
        with pyav.translated(OutputError, f"{name}: cannot be written"):
            yield
    except EncoderError:
        raise
    except OutputError:
        target.check()
        raise


def _due(packet: Packet) -> Fraction:
    """When a packet is to be written, in seconds; at once, if it does not say."""
    ticks = packet.pts if packet.dts is None else packet.dts
    return _AT_ONCE if ticks is None else ticks * packet.time_base


_AT_ONCE = Fraction(-(1 << 62))
_BUFFER = 1 << 17
"""Bytes that go out at once."""
_LONGEST_WAIT = 10_000
"""Ticks before the first frame of an AVI file."""
