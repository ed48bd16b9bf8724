"""A file as a source of video: opening it with care, and what the encoder needs of it later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from av.video.stream import VideoStream

from crsr_video import pyav
from crsr_video.errors import InputError, NoVideoError
from crsr_video.pyav import Packet
from crsr_video.types import Frame, VideoInfo

MAX_SIDE = 16384
"""Pixels; a frame that claims more is refused before anything is allocated for it."""
MAX_STREAMS = 1000
REFUSED = frozenset(
    ("hls", "concat", "concatf", "dash", "imf", "tty", "bin", "xbin", "adf", "idf", "lavfi")
)
"""Demuxers that open other files, or that take any text for a picture."""
_OPTIONS = {"protocol_whitelist": "file,crypto,data", "max_streams": str(MAX_STREAMS)}


_COVER = Disposition.attached_pic


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


def open_container(path: Path) -> InputContainer:
    """Open a media file, and nothing that it may refer to.

    Raises: InputError: it is no media file, or one that lists others.
    """
    try:
        container = av.open(
            f"file:{path}",
            options={"max_pixels": str(MAX_SIDE * MAX_SIDE)},
            container_options=_OPTIONS,
            metadata_errors="surrogateescape",
        )
    except InvalidDataError as error:
        raise InputError(f"{path}: is not a media file, or damaged beyond reading") from error
    except (FFmpegError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened: {pyav.reason(error)}") from error
    names = set(container.format.name.split(","))
    if names & REFUSED or len(container.streams) > MAX_STREAMS:
        container.close()
        why = f"lists or describes other files ({container.format.name})"
        raise InputError(f"{path}: {why if names & REFUSED else 'has too many streams'}")
    return container


def main_video(container: InputContainer, path: Path) -> VideoStream:
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
    if max(width, height) > MAX_SIDE:
        raise InputError(f"{path}: frames of {width}x{height} are too large (up to {MAX_SIDE})")
    return video
