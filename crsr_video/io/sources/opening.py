"""Opens sources safely: within `limits`, and without opening other files that they refer to."""

import errno
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import av
from av import logging
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError, InvalidDataError, ProtocolNotFoundError
from av.error import PermissionError as NotPermittedError
from av.stream import AttachmentStream, Disposition, Stream
from av.video.stream import VideoStream

from crsr_video.config import ReadSettings
from crsr_video.errors import InputError, NoVideoError
from crsr_video.files import open_regular
from crsr_video.io import hardware, limits, matroska, pipes, pyav
from crsr_video.io.pyav import Packet
from crsr_video.io.sources.targets import SourceKind, Target, recorded_target
from crsr_video.io.still_files import is_animated_webp

PROBE_BYTES = 32 << 20
"""Number of bytes from the beginning of a source within which every stream should begin."""
_BUFFER_BYTES = 1 << 18
"""Number of bytes that FFmpeg reads from a pipe at once."""
_Y4M = b"YUV4MPEG2"
_HEAD_BYTES = 1024
_NOT_FOLLOWED = "is damaged, or lists or describes other files, which is not followed"
_MARK_BYTES = 256
_REFUSED = {
    b"#EXTM3U": "an HLS playlist (hls)",
    b"ffconcat version": "a list of files (concat)",
    b"<MPD": "a DASH manifest (dash)",
    b"<SmoothStreamingMedia": "a Smooth Streaming manifest",
    b"# VobSub index": "an index of subtitles (vobsub)",
    b"m=video": "a description of a session (sdp)",
    b"MLVI": "Magic Lantern raw video (mlv)",
}
"""Formats that refer to other files, by bytes that such files contain near their beginning."""
_DEVICE_ERRORS = {
    errno.ENOENT: "no such device",
    errno.ENODEV: "no such device",
    errno.ENXIO: "no such device",
    errno.EBUSY: "is busy: another program uses it",
    errno.EACCES: "cannot be opened: permission denied",
    errno.EPERM: "cannot be opened: permission denied",
    errno.ENOTTY: "is not a camera",
}


def check_path(path: Path) -> None:
    """Check that a path is a file that can be read.

    Raises:
        InputError: The file is missing, empty, unreadable, or not a regular file.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory")
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty")
        with open_regular(path, follow_links=True):
            pass
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {pyav.reason(error)}") from error


def open_container(path: Path, hwaccel: str = "none", *, skipped_bytes: int = 0) -> InputContainer:
    """Open a recorded media file.

    Args:
        path: Path of the file.
        hwaccel: See `ReadSettings`. Decoding falls back to software if the device does not work.
        skipped_bytes: Number of bytes to skip at the beginning of the file.
    """
    target = recorded_target(path, ReadSettings())
    if skipped_bytes:
        options = target.options | {"skip_initial_bytes": str(skipped_bytes)}
        target = replace(target, options=options)
    return open_target(target, hwaccel=hwaccel)


def open_target(
    target: Target,
    input_pipe: pipes.InputPipe | None = None,
    *,
    hwaccel: str = "none",
    timeout: tuple[float, float | None] = (limits.OPENING_SECONDS, None),
) -> InputContainer:
    """Open any source.

    Args:
        target: The source.
        input_pipe: The pipe through which the source comes, if any.
        hwaccel: See `ReadSettings`.
        timeout: Seconds after which FFmpeg stops opening the source, and seconds after which it
            stops waiting for a packet. A pipe has no timeout.

    Raises:
        InputError: The source is not media, cannot be reached, or exceeds `limits`.
        NoVideoError: The pipe is empty.
    """
    _look_ahead(target, input_pipe)
    try:
        container: InputContainer
        container = hardware.open_accelerated(
            target.url if input_pipe is None else input_pipe,
            hwaccel,
            open_source=av.open,
            format=target.format,
            options=limits.stream_options(),
            container_options=target.options,
            metadata_errors="surrogateescape",
            buffer_size=_BUFFER_BYTES,
            timeout=timeout if input_pipe is None else None,
        )
    except (FFmpegError, OSError, ValueError) as error:
        if input_pipe is not None:
            input_pipe.check()
        raise _explained(target, error, input_pipe) from error
    try:
        if input_pipe is not None:
            input_pipe.check()
        _check_counts(container, target.name)
    except BaseException:
        container.close()
        raise
    return container


def _look_ahead(target: Target, input_pipe: pipes.InputPipe | None) -> None:
    """Reject sources that FFmpeg would read for hours, or whose errors it cannot explain."""
    is_matroska = target.format in (None, "matroska")
    if input_pipe is not None:
        if is_matroska:
            matroska.check_sizes_of_pipe(pipes.PipeWindow(input_pipe, PROBE_BYTES), target.name)
        if not input_pipe.peek(1):
            input_pipe.check()
            raise NoVideoError(f"{target.name}: is empty: nothing came through the pipe")
    elif target.kind is SourceKind.FILE:
        check_path(target.path)
        _check_animation(target)
        if is_matroska:
            matroska.check_sizes(target.path)
        if target.format == "rawvideo":
            _check_raw_file(target)


def _check_animation(target: Target) -> None:
    if is_animated_webp(_head(target)):
        why = "which PyAV's FFmpeg cannot decode: convert it to GIF or PNG"
        raise InputError(f"{target.name}: is an animated WebP file, {why}")


def _check_raw_file(target: Target) -> None:
    size, frame = target.path.stat().st_size, raw_frame_bytes(target)
    if size % frame:
        raise InputError(
            f"{target.name}: {size} bytes are not a whole number of"
            f" {target.options['video_size']} frames ({frame} bytes each)"
        )


def _check_counts(container: InputContainer, name: str) -> None:
    streams, chapters = container.streams, container.chapters()
    tags = [container.metadata, *(s.metadata for s in streams), *(c["metadata"] for c in chapters)]
    limits.check_counts(
        name,
        streams=streams,
        chapters=chapters,
        attached=sum(len(s.data) for s in streams if isinstance(s, AttachmentStream)),
        tags=sum(len(key) + len(value) for table in tags for key, value in table.items()),
    )


# Why a source cannot be opened -------------------------------------------------------------------


def _explained(target: Target, error: Exception, input_pipe: pipes.InputPipe | None) -> InputError:
    name = target.name
    if target.kind is SourceKind.DEVICE:
        known = _DEVICE_ERRORS.get(getattr(error, "errno", None) or 0)
        if known is None and isinstance(error, ArgumentError):
            known = "is not a camera, or does not have this size, rate or pixel format"
        return InputError(f"{name}: {known or f'cannot be opened: {pyav.reason(error)}'}")
    if target.kind is SourceKind.NETWORK and input_pipe is None:
        if isinstance(error, InvalidDataError):
            return InputError(f"{name}: sends nothing that can be read as video")
        if isinstance(error, ArgumentError):
            return InputError(f"{name}: is damaged, or leads to an address that is not allowed")
        if isinstance(error, ProtocolNotFoundError):
            return InputError(f"{name}: PyAV's FFmpeg was built without this protocol")
        return InputError(f"{name}: cannot be reached: {pyav.reason(error)}")
    head = _head(target) if input_pipe is None else input_pipe.head
    if head.startswith(_Y4M):
        problem = "invalid" if b"\n" in head else "cut short"
        return InputError(f"{name}: its Y4M header is {problem}")
    if isinstance(error, ArgumentError):
        known = next((what for mark, what in _REFUSED.items() if mark in head[:_MARK_BYTES]), None)
        if known is None:
            return InputError(f"{name}: {_NOT_FOLLOWED}")
        why = "which lists or describes other files: these are not followed"
        return InputError(f"{name}: is {known}, {why}")
    if isinstance(error, (InvalidDataError, NotPermittedError, EOFError)):
        what = "a media file" if input_pipe is None else "a media stream"
        what = f"{target.format} video" if target.format else what
        hint = " (raw video needs its format and size)" if input_pipe and not target.format else ""
        return InputError(f"{name}: is not {what}, or damaged beyond reading{hint}")
    return InputError(f"{name}: cannot be opened: {pyav.reason(error)}")


def _head(target: Target) -> bytes:
    with suppress(OSError), target.path.open("rb") as file:
        return file.read(_HEAD_BYTES)
    return b""


# Contents of an opened source --------------------------------------------------------------------


def main_video(container: InputContainer, name: Path | str) -> VideoStream:
    """Return the video stream to work on: the one that FFmpeg chooses, but never cover art.

    Raises:
        NoVideoError: There is no video stream.
        InputError: The stream cannot be decoded, or its frames are too large.
    """
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        kinds = sorted({s.type for s in container.streams})
        only = f", only {' and '.join(kinds)}" if kinds else ""
        raise NoVideoError(f"{name}: holds no video{only}")
    best = container.streams.best("video")
    video = next((s for s in videos if best is not None and s.index == best.index), videos[0])
    if video.codec_context is None:
        raise InputError(f"{name}: there is no decoder for its video codec")
    limits.check_size(name, video.codec_context.width, video.codec_context.height)
    return video


def codec_name(stream: Stream) -> str | None:
    """Return FFmpeg's name of a stream's decoder, or None if it has none."""
    return getattr(stream, "name", None)  # A stream without a decoder lacks the attribute.


def packets_of(container: InputContainer, *streams: Stream) -> Iterator[Packet]:
    """Yield all packets of the given streams, or of all streams, in the file's order.

    A stream that begins after the file was opened, as can happen in transport streams and Flash
    Video, is skipped. PyAV may raise an IndexError for such a stream at the end of the file.
    """
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError):
            return
        yield packet


def has_unknown_streams(container: InputContainer) -> bool:
    """Return whether streams have begun that were not known when the container was opened.

    PyAV does not list such streams, but FFmpeg's description of the container does.
    """
    with pyav.captured_log(logging.INFO):
        description = container.dumps_format()  # type: ignore[attr-defined] # not in the stubs
    return len(_STREAM_LINE.findall(description)) > len(container.streams)


_STREAM_LINE = re.compile(r"^ *Stream #0:", re.MULTILINE)


def raw_frame_bytes(target: Target) -> int:
    """Return the number of bytes of one frame of raw video, as FFmpeg counts them.

    Raises:
        InputError: FFmpeg does not know the pixel format.
    """
    shape = {k: v for k, v in target.options.items() if k in ("video_size", "pixel_format")}
    try:
        with av.open(_Zeros(), "r", format="rawvideo", container_options=shape) as container:
            return int(next(container.demux()).size)
    except (FFmpegError, ValueError, StopIteration) as error:
        asked = " ".join(shape.values())
        raise InputError(f"raw video cannot be {asked}: {pyav.reason(error)}") from error


class _Zeros:
    """An endless file of zeros."""

    name = "zeros"

    def read(self, size: int) -> bytes:
        return bytes(size)
