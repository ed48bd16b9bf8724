"""A file as a source of video: opening it with care, and what the encoder needs of it later."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError, InvalidDataError
from av.error import PermissionError as NotPermittedError
from av.stream import AttachmentStream, Disposition, Stream
from av.video.stream import VideoStream

from crsr_video.config import PIPE_INPUTS, ReadSettings
from crsr_video.errors import ConfigError, InputError, NoVideoError
from crsr_video.io import hardware, limits, matroska, pipes, pyav
from crsr_video.io.pyav import Packet
from crsr_video.types import Frame, VideoInfo

_ENOUGH = 32 << 20
"""Bytes to look through for a stream's first packet."""
_COVER = Disposition.attached_pic
_DEMUXERS = {"y4m": "yuv4mpegpipe", "mp4": "mov"}
"""FFmpeg's names of demuxers, where they are not ours."""
_Y4M = b"YUV4MPEG2"
_BUFFER = 1 << 18
"""Bytes that FFmpeg asks a pipe for at once."""


@dataclass(frozen=True, slots=True)
class Source:
    """An opened source, as the encoder needs it to carry everything over."""

    path: Path
    container: InputContainer
    video: VideoStream
    """The stream that is decoded."""
    info: VideoInfo
    first: Frame
    """The first frame: pixel format, colour and rotation as they really are."""
    covers: Mapping[int, Packet] = field(default_factory=dict)
    """Cover pictures by stream index, which some containers want before the first frame."""
    shift: Fraction = Fraction(0)
    """Seconds that were subtracted from all times."""
    end: Fraction | None = None
    """Where reading stops, in seconds of the source's own clock; None: at the end."""
    earliest: Fraction = Fraction(0)
    """Seconds; the least time of the first frame and of what came before it, such as the packets by
    which sound begins below zero."""
    beginnings: Mapping[int, bytes] | None = None
    """A packet of every other stream, by index, as far as they come soon; None: the file can be
    looked at a second time."""

    @property
    def is_pipe(self) -> bool:
        """It was read from standard input: there is no second look, and no name."""
        return self.beginnings is not None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return pipes.INPUT if self.is_pipe else str(self.path)


class HasSource(Protocol):
    """Whoever opened a source."""

    @property
    def source(self) -> Source:
        """What was opened."""
        ...


def check_path(path: Path) -> None:
    """Raises: InputError: there is no readable, non-empty file."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory")
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {pyav.reason(error)}") from error


def open_container(path: Path, hwaccel: str = "none") -> InputContainer:
    """Open a media file, and nothing that it may refer to.

    Args:   hwaccel: as of `ReadSettings`; where it is not to be had, software decodes.
    Raises: InputError: it is no media file, one that lists others, or beyond `limits`.
    """
    matroska.check_chapters(path)
    try:
        container: InputContainer
        container, _ = hardware.open_source(
            f"file:{path}",
            None if hwaccel == "none" else hwaccel,
            open_file=av.open,
            options=limits.stream_options(),
            container_options=limits.opening_options(),
            metadata_errors="surrogateescape",
            timeout=(limits.OPENING_SECONDS, None),
        )
    except InvalidDataError as error:
        raise InputError(f"{path}: is not a media file, or damaged beyond reading") from error
    except ArgumentError as error:  # As for a format that is not on the list.
        raise InputError(
            f"{path}: is damaged, or lists or describes other files, which is not followed"
        ) from error
    except (FFmpegError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened: {pyav.reason(error)}") from error
    try:
        _check_counts(container, path)
    except BaseException:
        container.close()
        raise
    return container


def open_inlet(inlet: pipes.Inlet, settings: ReadSettings) -> InputContainer:
    """Open what comes in by a pipe, with the same care.

    Raises: InputError: nothing comes, it is no media, lists other files, or is beyond `limits`.
            ConfigError: there is no such pixel format.
    """
    wanted = settings.format
    _check_choices(settings)
    if wanted in (None, "matroska"):
        window = pipes.Window(inlet, _ENOUGH)
        matroska.check_chapters_of_pipe(window, inlet.name)
    if not inlet.peek(1):
        inlet.check()
        raise InputError(f"{inlet.name}: is empty: nothing came through the pipe")
    try:
        container = av.open(
            inlet,
            "r",
            format=_DEMUXERS.get(wanted or "", wanted),
            options=limits.stream_options(),
            container_options=_pipe_options(settings),
            metadata_errors="surrogateescape",
            buffer_size=_BUFFER,
        )
    except (FFmpegError, ValueError) as error:
        inlet.check()
        raise _pipe_error(inlet, settings, error) from error
    try:
        inlet.check()
        _check_counts(container, inlet.name)
    except BaseException:
        container.close()
        raise
    return container


def _check_choices(settings: ReadSettings) -> None:
    """Check that a pipe can be read as the settings describe it.

    Raises:
        ConfigError: The format is unknown, or does not go with the other settings.
    """
    if settings.format is not None and settings.format not in PIPE_INPUTS:
        known = ", ".join(PIPE_INPUTS)
        raise ConfigError(f"input-format must be one of {known}, but is {settings.format}")
    shape = (settings.size, settings.pixel_format, settings.rate)
    if settings.format != "rawvideo" and shape != (None, None, None):
        raise ConfigError("size, pixel-format and rate are for --input-format rawvideo only")


def _pipe_options(settings: ReadSettings) -> dict[str, str]:
    """FFmpeg's options for what comes in by a pipe."""
    options = limits.opening_options()
    if settings.format != "rawvideo":
        return options
    width, height = settings.size or (0, 0)
    limits.check_size(pipes.INPUT, width, height)
    name = settings.pixel_format or "yuv420p"
    if not pyav.is_pixel_format(name):
        raise ConfigError(f"there is no pixel format {name!r} in this FFmpeg")
    return options | {
        "format_whitelist": ",".join(limits.RAW_FORMATS),
        "video_size": f"{width}x{height}",
        "pixel_format": name,
        "framerate": str(settings.rate or 25),
    }


def _pipe_error(inlet: pipes.Inlet, settings: ReadSettings, error: Exception) -> InputError:
    """Why what comes in by a pipe cannot be opened."""
    if inlet.head.startswith(_Y4M) and b"\n" not in inlet.head:
        return InputError(f"{inlet.name}: its Y4M header is cut short")
    if isinstance(error, ArgumentError):
        return InputError(
            f"{inlet.name}: is damaged, or lists or describes other files, which is not followed"
        )
    if isinstance(error, (InvalidDataError, NotPermittedError, EOFError)):
        what = f"{settings.format} video" if settings.format else "a media stream"
        return InputError(f"{inlet.name}: is not {what}, or damaged beyond reading")
    return InputError(f"{inlet.name}: cannot be opened: {pyav.reason(error)}")


def _check_counts(container: InputContainer, path: Path | str) -> None:
    """Raises: InputError: there is too much of something."""
    streams, chapters = container.streams, container.chapters()
    tags = [container.metadata, *(s.metadata for s in streams), *(c["metadata"] for c in chapters)]
    limits.check_counts(
        path,
        streams=streams,
        chapters=chapters,
        attached=sum(len(s.data) for s in streams if isinstance(s, AttachmentStream)),
        tags=sum(len(key) + len(value) for table in tags for key, value in table.items()),
    )


def main_video(container: InputContainer, path: Path | str) -> VideoStream:
    """The video stream to work on: FFmpeg's choice, but never cover art.

    Raises: NoVideoError: there is none. InputError: it cannot be decoded.
    """
    videos = [s for s in container.streams.video if not s.disposition & _COVER]
    if not videos:
        kinds = sorted({s.type for s in container.streams})
        only = f", only {' and '.join(kinds)}" if kinds else ""
        raise NoVideoError(f"{path}: holds no video{only}")
    best = container.streams.best("video")
    video = next((s for s in videos if best is not None and s.index == best.index), videos[0])
    if video.codec_context is None:
        raise InputError(f"{path}: there is no decoder for its video codec")
    width, height = video.codec_context.width, video.codec_context.height
    limits.check_size(path, width, height)
    return video


def codec_name(stream: Stream) -> str | None:
    """FFmpeg's name of a stream's decoder; None: it knows none."""
    return getattr(stream, "name", None)  # Not even None, of a stream without a decoder.


def packets_of(container: InputContainer, *streams: Stream) -> Iterator[Packet]:
    """All packets of some streams, or of all, in the file's order.

    A stream that begins after the file was opened, as transport streams and Flash Video may have
    it, is left out; PyAV stumbles over it at the very end.
    """
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError):
            return
        yield packet


def bit_rate(source: Source) -> int:
    """Of the video in bits a second, measured where the container does not say; 0: unknown.

    Measuring reads the file once, without decoding.
    """
    stated = source.info.bit_rate or source.video.metadata.get("BPS", "")
    if str(stated).isdigit() and int(stated) > 0:
        return int(stated)
    if source.info.seconds <= 0 or source.is_pipe:
        return 0
    container = open_container(source.path)
    try:
        packets = packets_of(container, container.streams[source.video.index])
        size = sum(packet.size for packet in packets)
    except FFmpegError:  # Cut off: what was read is no measure.
        return 0
    finally:
        container.close()
    return round(8 * size / source.info.seconds)


def first_packets(source: Source) -> dict[int, bytes]:
    """A packet of every stream but the video, by index, as far as they come soon.

    A second look at the file, so that the first goes on undisturbed.
    """
    if source.beginnings is not None:
        return dict(source.beginnings)
    wanted = {s.index for s in source.container.streams} - {source.video.index}
    found: dict[int, bytes] = {}
    if not wanted:
        return found
    container = open_container(source.path)
    read = 0
    try:
        for packet in packets_of(container, *(container.streams[i] for i in sorted(wanted))):
            read += packet.size
            if packet.size and packet.stream_index not in found:
                found[packet.stream_index] = bytes(packet)
            if found.keys() == wanted or read > _ENOUGH:
                break
    except FFmpegError:
        pass  # What was found before the damage will do.
    finally:
        container.close()
    return found


class Ahead:
    """Packets of a pipe that were read before their turn, to know how every stream begins.

    Args: packets: all of them, from the beginning.
    """

    def __init__(self, packets: Iterator[Packet]) -> None:
        self._packets = packets
        self._held: deque[Packet] = deque()

    def __iter__(self) -> Iterator[Packet]:
        """All packets in their order, once."""
        while self._held:
            yield self._held.popleft()
        yield from self._packets

    def beginnings(self, container: InputContainer, video: VideoStream) -> dict[int, bytes]:
        """A packet of every stream but the video, by index, as far as they come soon."""
        silent = (s for s in container.streams if isinstance(s, AttachmentStream))
        wanted = {s.index for s in container.streams} - {video.index, *(s.index for s in silent)}
        found: dict[int, bytes] = {}
        size = 0
        while found.keys() < wanted and size < _ENOUGH:
            packet = next(self._packets, None)
            if packet is None:
                break
            self._held.append(packet)
            size += packet.size
            if packet.stream_index in wanted:
                found.setdefault(packet.stream_index, bytes(packet))
        return found
