"""Whether a tracks file belongs to a video."""

import hashlib
from pathlib import Path

from crsr_video.errors import InputError, TracksError
from crsr_video.track.tracks_file.recording import Recording, VideoFacts
from crsr_video.types import Frame, VideoInfo

_BLOCKS = 128
_BLOCK = 64 << 10
"""Bytes; 8 MiB in all, read in a fraction of a second from any disk."""
_NEAR = 0.002
"""Seconds: what rounding may do to a duration."""


def sha256(path: Path) -> str:
    """SHA-256, in hexadecimal, of what tells one video file from another.

    That is: the size in bytes as 8 bytes, big-endian; then the whole file if it has no more than
    128 * 65536 bytes, else 128 blocks of 65536 bytes, block k beginning at
    k * (size - 65536) // 127.
    Raises: InputError: the file cannot be read.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(size.to_bytes(8, "big"))
        with path.open("rb") as file:
            if size <= _BLOCKS * _BLOCK:
                digest.update(file.read())
            else:
                for number in range(_BLOCKS):
                    file.seek(number * (size - _BLOCK) // (_BLOCKS - 1))
                    digest.update(file.read(_BLOCK))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def facts(path: Path, info: VideoInfo, first: Frame) -> VideoFacts:
    """What a tracks file says of its video.

    Args:   first: the video's first frame.
    Raises: InputError: the file cannot be read.
    """
    return VideoFacts(
        width=info.width,
        height=info.height,
        time_base=info.time_base,
        rotation=first.rotation,
        sample_aspect=first.sample_aspect,
        bytes=path.stat().st_size,
        seconds=round(info.seconds, 3),
        sha256=sha256(path),
    )


def check_video(recording: Recording, name: Path, path: Path, info: VideoInfo) -> None:
    """Check that a tracks file was made of this very video; its name does not matter.

    Args:   name: of the tracks file. path: of the video.
    Raises: TracksError: it was made of another, with the first field that differs.
            InputError: the video cannot be read.
    """
    was, size = recording.video, path.stat().st_size
    told = f"{name}: made from another video than {path.name}: video."
    for field, old, new in (
        ("width", was.width, info.width),
        ("height", was.height, info.height),
        ("time_base", was.time_base, info.time_base),
        ("bytes", was.bytes, size),
    ):
        if old != new:
            raise TracksError(f"{told}{field} is {old} there and {new} here")
    if abs(was.seconds - info.seconds) > _NEAR:
        raise TracksError(f"{told}seconds is {was.seconds:g} there and {info.seconds:g} here")
    if was.sha256 != sha256(path):
        raise TracksError(f"{told}sha256 differs, so the content does")
