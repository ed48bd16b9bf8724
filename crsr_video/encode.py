"""Write a video: frames through an encoder, everything else as it came.

The file appears under its name only when it is complete: until then it grows beside it under a
hidden name, which disappears if anything goes wrong.
"""

import os
import secrets
import struct
from contextlib import AbstractContextManager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from crsr_video import encoders, pyav, streams
from crsr_video.colour import MATRIX_CODES, matrix_name
from crsr_video.config import EncodeSettings
from crsr_video.encoders import available_encoders
from crsr_video.errors import EncoderError, OutputError
from crsr_video.plan import MATROSKA, MOV, OutputPlan, avi_clock, plan_output
from crsr_video.pyav import Packet, Passthrough
from crsr_video.source import HasSource
from crsr_video.types import Frame

__all__ = ["Encoder", "OutputPlan", "available_encoders", "plan_output"]


class Encoder:
    """A video being written; a context manager that gives up when left by an exception."""

    plan: OutputPlan

    def __init__(
        self,
        path: str | Path | None,
        decoder: HasSource,
        settings: EncodeSettings | None = None,
        *,
        scale: int = 1,
        overwrite: bool = False,
        threads: int = 0,
    ) -> None:
        """Open the encoder and the file.

        Args: path: of the result; None: beside the source.
              scale: size of the frames to come over the source's.
              threads: of the encoder; 0: as it likes.
        Raises: OutputError: the file cannot be written, exists, or is the source itself.
                EncoderError: the encoder does not exist or refuses the settings.
        """
        settings = settings or EncodeSettings()
        self.plan = plan_output(decoder, Path(path) if path else None, settings, scale=scale)
        self._source, self._scale = decoder.source, scale
        self._notices = dict.fromkeys(self.plan.notices)
        self._frames = 0
        self._clock = (
            avi_clock(self._source) if self.plan.container == "avi" else self._source.info.time_base
        )
        self._counted = self.plan.choice.counted or self.plan.container == "avi"
        self._times: dict[int, tuple[int, int]] = {}
        self._first_pts = 0
        self._done = False
        check_output(self.plan.path, self._source.path, overwrite)
        self._temporary = _temporary_name(self.plan.path)
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

    @property
    def notices(self) -> tuple[str, ...]:
        """What the result cannot hold or was changed, in words."""
        repaired = self._carrier.repaired
        more = (f"{repaired} packets ran backwards in time and were moved",) if repaired else ()
        return (*self._notices, *more)

    # Opening ------------------------------------------------------------------------------------

    def _open(self, threads: int) -> None:
        source, plan = self._source, self.plan
        with pyav.translated(OutputError, f"{plan.path}: cannot be written"):
            self._container = av.open(
                f"file:{self._temporary}",
                "w",
                format=plan.container,
                container_options=streams.container_options(source, plan.container, self._clock),
                metadata_errors="surrogateescape",
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
        rate = self._rate()
        if choice.encoder == "libsvtav1":  # There is no other way to stop its talk on stderr.
            os.environ.setdefault("SVT_LOG", "0")
        with pyav.translated(EncoderError, f"{choice.encoder} refuses its settings"):
            stream = self._container.add_stream(choice.encoder, rate)
            assert isinstance(stream, VideoStream)
            self._stream, self._context = stream, stream.codec_context
            self._context.time_base = 1 / rate if self._counted else self._clock
            stream.time_base = self._clock
            if not self._counted:
                self._context.flags |= Flags.frame_duration
            self._set_picture()
            self._context.thread_count = threads
            streams.describe(self._source.video, stream)
            options = dict(choice.options)
            options = self._with_side_data(options)
            if options.get("b", "").isdigit():  # Some check the one against the other.
                self._context.bit_rate_tolerance = max(int(options["b"]), 128_000)
            self._context.options = options
            self._context.open()
        encoders.leftover(self._context.options, choice.encoder)

    def _rate(self) -> Fraction:
        """Frames a second, for what encoders want it for: rate control and headers, not times."""
        rate = self._source.info.rate or Fraction(25)
        if self.plan.container == "avi":
            return 1 / self._clock
        if self.plan.encoder in ("mpeg1video", "mpeg2video"):
            return min(_MPEG_RATES, key=lambda r: abs(r - rate))
        if not 1 <= rate <= 1000:
            return Fraction(25)  # A variable rate that the container could not average.
        return rate if rate.numerator <= _MPEG4_TICKS else Fraction(round(rate * 50), 50)

    def _set_picture(self) -> None:
        """Size, pixel format and colour, as the encoder is going to see them."""
        native, context = self._source.first.native, self._context
        context.width, context.height = native.width * self._scale, native.height * self._scale
        context.pix_fmt = self.plan.pixel_format
        if self.plan.container in MOV and context.codec.canonical_name == "hevc":
            context.codec_tag = "hvc1"  # The only one that Apple's players know.
        sample = self._in_format(native)
        context.color_range = sample.color_range
        context.colorspace = self._matrix_code(sample)
        context.color_primaries = sample.color_primaries
        context.color_trc = sample.color_trc
        context.sample_aspect_ratio = self._source.first.sample_aspect
        if native.interlaced_frame and self._scale == 1 and self.plan.encoder in _INTERLACED:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
            context.field_order = self._source.video.codec_context.field_order

    def _matrix_code(self, sample: VideoFrame) -> int:
        """The matrix tag; an untagged picture gets one if its new size would be read otherwise."""
        tag, matrix = int(sample.colorspace), self._source.first.layout.matrix
        size = (self._context.width, self._context.height)
        if self._source.first.layout.family != "yuv" or matrix_name(tag, *size) == matrix:
            return tag
        return MATRIX_CODES[matrix]

    def _with_side_data(self, options: dict[str, str]) -> dict[str, str]:
        """Hand on rotation and HDR, which hang on the first frame."""
        attached = pyav.side_data(self._source.first.native)
        matrix = attached.get("DISPLAYMATRIX")
        if matrix is not None:
            values = list(struct.unpack("9i", matrix[:36]))
            values[6:8] = (v * self._scale for v in values[6:8])
            self._stream.set_display_matrix(values)
            if self.plan.container not in MOV | MATROSKA:
                self._notices[f"{self.plan.container} does not hold the rotation"] = None
        extra, taken = encoders.hdr_options(self.plan.encoder, attached)
        if not taken:
            self._notices[f"{self.plan.encoder} does not hold HDR metadata"] = None
        return encoders.merge_parameters(options, extra)

    # Writing ------------------------------------------------------------------------------------

    def push(self, frame: Frame) -> None:
        """Encode one frame, in presentation order.

        Raises: OutputError: the file cannot be written any more.
        """
        picture = self._in_format(self._picture(frame))
        picture.pict_type = int(PictureType.NONE)  # The encoder's choice, not the source's.
        pts = frame.pts
        if self._counted:
            self._times[self._frames] = ticks = self._ticks(frame, picture.duration)
            self._first_pts = ticks[0] if self._frames == 0 else self._first_pts
            picture.pts, picture.time_base = self._frames, self._context.time_base
        else:
            picture.pts, picture.time_base = pts, frame.time_base
        self._frames += 1
        self._encode(picture)

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet of another stream.

        Raises: OutputError: the file cannot be written any more.
        """
        with self._writing():
            self._carrier.push(item)

    def _picture(self, frame: Frame) -> VideoFrame:
        """The picture to encode: the decoder's own, unless it was edited."""
        native = frame.native
        same_size = native is not None and (native.width, native.height) == (
            frame.width,
            frame.height,
        )
        if same_size and not frame.edited:
            assert isinstance(native, VideoFrame)
            return native
        if same_size:
            picture = pyav.copy(native)
        else:
            picture = pyav.blank(frame.width, frame.height, frame.layout.name)
            pyav.copy_colour(native or self._source.first.native, picture)
            picture.duration = native.duration if native is not None else 0
        pyav.write(picture, frame.components)
        return picture

    def _in_format(self, picture: VideoFrame) -> VideoFrame:
        if picture.format.name == self.plan.pixel_format:
            return picture
        return pyav.convert(picture, self.plan.pixel_format)

    def _ticks(self, frame: Frame, duration: int) -> tuple[int, int]:
        """Time and duration of a frame on the output's clock; times grow."""
        pts = round(frame.pts * frame.time_base / self._clock)
        previous = self._times.get(self._frames - 1)
        if previous is not None:
            pts = max(pts, previous[0] + 1)
        return pts, round(duration * frame.time_base / self._clock)

    def _encode(self, picture: VideoFrame | None) -> None:
        """Encode a picture, or what is still held back, and write what comes out."""
        with pyav.translated(EncoderError, f"{self.plan.encoder} failed"):
            packets: list[Packet] = self._context.encode(picture)
        with self._writing():
            for packet in packets:
                packet.stream = self._stream
                if self._counted:
                    self._restore_times(packet)
                self._check_decoding_time(packet)
                self._container.mux(packet)

    def _restore_times(self, packet: Packet) -> None:
        """Replace the count of frames by the times they stand for.

        A decoding time before the first frame, of an encoder that reorders, goes as far back from
        it as it counts; any other is the time of the frame it counts, so that both kinds grow.
        """
        index, decoded = packet.pts or 0, packet.dts if packet.dts is not None else packet.pts or 0
        packet.time_base = self._clock
        packet.pts, packet.duration = self._times[index]
        step = max(1, round(1 / (self._rate() * self._clock)))
        early = self._first_pts + decoded * step
        packet.dts = self._times[decoded][0] if decoded >= 0 else early
        for old in [i for i in self._times if i < min(decoded, self._frames - 1)]:
            del self._times[old]

    def _check_decoding_time(self, packet: Packet) -> None:
        """Put a senseless decoding time right.

        libx265 leaves it uninitialised in clips shorter than its own delay, which hold their frames
        in order of presentation.
        """
        if packet.pts is None or packet.dts is None or packet.time_base is None:
            return
        if not 0 <= (packet.pts - packet.dts) * packet.time_base <= _LONGEST_REORDERING:
            packet.dts = packet.pts

    def _writing(self) -> AbstractContextManager[None]:
        return pyav.translated(OutputError, f"{self.plan.path}: cannot be written")

    # Ending -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises: OutputError: it could not be completed; nothing is left behind.
        """
        if self._done:
            return
        try:
            if not self._frames:
                raise OutputError(f"{self.plan.path}: not written, for no frame came")
            self._encode(None)
            with self._writing():
                self._container.close()
                _sync(self._temporary)
                self._temporary.replace(self.plan.path)
                _sync_folder(self.plan.path.parent)
            self._done = True
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Give up: nothing stays on the disk. Does nothing after `close`."""
        if self._done:
            return
        self._done = True
        container = getattr(self, "_container", None)
        if container is not None:
            with suppress(FFmpegError, OSError, ValueError):
                container.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)


_LONGEST_REORDERING = 60
"""Seconds between decoding and presentation beyond which an encoder is not believed."""

_INTERLACED = frozenset(("libx264", "mpeg2video", "mpeg4"))
_MPEG4_TICKS = 65535
"""MPEG-4 counts time in 16 bits."""

_MPEG_RATES = (
    *(Fraction(n, 1001) for n in (24000, 30000, 60000)),
    *(Fraction(n) for n in (24, 25, 30, 50, 60)),
)
"""The frame rates that MPEG-1 and MPEG-2 have a code for."""


def check_output(path: Path, source: Path, overwrite: bool) -> None:
    """Raises: OutputError: the result may not or cannot be written there."""
    try:
        if path.is_dir():
            raise OutputError(f"{path}: is a directory")
        if path.exists() and path.samefile(source):
            raise OutputError(f"{path}: is the source itself")
        if os.path.lexists(path) and not overwrite:
            raise OutputError(f"{path}: exists already; --overwrite replaces it")
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent}: no such folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise OutputError(f"{path.parent}: may not be written to")
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: {pyav.reason(error)}") from error


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where folders can be opened at all."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
