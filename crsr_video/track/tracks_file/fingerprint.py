"""Check whether a tracks file belongs to a video."""

import hashlib
from pathlib import Path

from crsr_video.errors import InputError, TracksError
from crsr_video.track.tracks_file.recording import Recording, VideoFacts
from crsr_video.types import Frame, VideoInfo

_BLOCKS = 128
_BLOCK_BYTES = 64 << 10
"""All blocks together are 8 MiB, which any disk reads in a fraction of a second."""
_ROUNDING_SECONDS = 0.002
"""Largest difference between durations that rounding alone can cause."""


def fingerprint_of(path: Path) -> str:
    """Return a SHA-256 digest in hexadecimal that identifies a video file.

    The digest covers the size in bytes, as a big-endian number of 8 bytes, and then the content. A
    file of no more than 128 * 65536 bytes is read whole. Of a larger file, 128 blocks of 65536
    bytes are read, where block k (from 0) begins at k * (size - 65536) // 127.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(size.to_bytes(8, "big"))
        with path.open("rb") as file:
            if size <= _BLOCKS * _BLOCK_BYTES:
                digest.update(file.read())
            else:
                for number in range(_BLOCKS):
                    file.seek(number * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
                    digest.update(file.read(_BLOCK_BYTES))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def video_facts(path: Path, info: VideoInfo, first: Frame) -> VideoFacts:
    """Return the properties of a video that a tracks file records.

    Raises:
        InputError: The file cannot be read.
    """
    return VideoFacts(
        width=info.width,
        height=info.height,
        time_base=info.time_base,
        rotation=first.rotation,
        sample_aspect=first.sample_aspect,
        bytes=path.stat().st_size,
        seconds=round(info.seconds, 3),
        sha256=fingerprint_of(path),
    )


def check_video(recording: Recording, name: Path, path: Path, info: VideoInfo) -> None:
    """Check that a tracks file was made from this video, whatever the video is named.

    Args:
        recording: The content of the tracks file.
        name: The tracks file.
        path: The video.
        info: Properties that the container of the video states.

    Raises:
        TracksError: The tracks file was made from another video. The message names the first field
            that differs.
        InputError: The video cannot be read.
    """
    was, size = recording.video, path.stat().st_size
    problem = f"{name}: made from another video than {path.name}: video."
    for field, old, new in (
        ("width", was.width, info.width),
        ("height", was.height, info.height),
        ("time_base", was.time_base, info.time_base),
        ("bytes", was.bytes, size),
    ):
        if old != new:
            raise TracksError(f"{problem}{field} is {old} there and {new} here")
    if abs(was.seconds - info.seconds) > _ROUNDING_SECONDS:
        raise TracksError(f"{problem}seconds is {was.seconds:g} there and {info.seconds:g} here")
    if was.sha256 != fingerprint_of(path):
        raise TracksError(f"{problem}sha256 differs, so the content is different")
