"""Why a source cannot be read, in one line each."""

import errno
from pathlib import Path

import av
from av.error import ArgumentError, FFmpegError, InvalidDataError

from crsr_video.errors import InputError, NoVideoError
from crsr_video.io import pyav
from crsr_video.io.incoming.address import Kind, Target

Y4M = b"YUV4MPEG2"

_DEVICE = {
    errno.ENOENT: "no such device",
    errno.ENODEV: "no such device",
    errno.ENXIO: "no such device",
    errno.EBUSY: "is busy: another program uses it",
    errno.EACCES: "may not be opened: permission denied",
    errno.EPERM: "may not be opened: permission denied",
    errno.ENOTTY: "is no camera",
}


def within(seconds: float) -> str:
    """How long was waited."""
    return f"within {seconds:g} s"


def not_opened(target: Target, error: BaseException, head: bytes = b"") -> InputError:
    """What opening failed with.

    Args: head: the first bytes, where they are known.
    """
    if target.kind is Kind.DEVICE:
        return _device(target, error)
    if target.kind is Kind.NETWORK and not target.bridged:
        if isinstance(error, InvalidDataError):
            return InputError(f"{target.shown}: sends nothing that can be read as video")
        if isinstance(error, ArgumentError):
            return InputError(f"{target.shown}: is damaged, or leads to what may not be opened")
        if isinstance(error, av.error.ProtocolNotFoundError):
            return InputError(f"{target.shown}: PyAV's FFmpeg was built without this protocol")
        return InputError(f"{target.shown}: cannot be reached: {pyav.reason(error)}")
    return _bytes(target, error, head)


def _bytes(target: Target, error: BaseException, head: bytes) -> InputError:
    if target.kind is not Kind.FILE and not head:
        return NoVideoError(f"{target.shown}: is empty")
    if head.startswith(Y4M):
        wrong = "is not valid" if b"\n" in head else "is cut short"
        return InputError(f"{target.shown}: the Y4M header {wrong}")
    if target.format == "rawvideo":
        return InputError(f"{target.shown}: cannot be read as raw video: {pyav.reason(error)}")
    if isinstance(error, InvalidDataError | ArgumentError):
        hint = "" if target.format else " (raw video needs its format and size)"
        return InputError(f"{target.shown}: is no video that is known, or damaged{hint}")
    return InputError(f"{target.shown}: cannot be opened: {pyav.reason(error)}")


def _device(target: Target, error: BaseException) -> InputError:
    code = getattr(error, "errno", None)
    if code in _DEVICE:
        return InputError(f"{target.shown}: {_DEVICE[code]}")
    asked = "size, rate or pixel format"
    if isinstance(error, ArgumentError):
        return InputError(f"{target.shown}: is no camera, or has no such {asked}")
    return InputError(f"{target.shown}: cannot be opened: {pyav.reason(error)}")


def frame_bytes(options: dict[str, str]) -> int:
    """Bytes of one frame of raw video, as FFmpeg reckons.

    Raises: InputError: there is no such pixel format.
    """
    wanted: dict[str, str] = {k: options[k] for k in ("video_size", "pixel_format") if k in options}
    try:
        with av.open(_Zeros(), "r", format="rawvideo", container_options=wanted) as container:
            return int(next(container.demux()).size)
    except (FFmpegError, ValueError, StopIteration) as error:
        told = " ".join(wanted.values())
        raise InputError(f"raw video cannot be {told}: {pyav.reason(error)}") from error


def check_file(target: Target) -> int:
    """Refuse what cannot be read as it is described, before anything is opened.

    Returns: its bytes.
    Raises:  InputError: there is no such file, or it is no whole number of raw frames.
    """
    path = Path(target.url.removeprefix("file:"))
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{target.shown}: is {_what(path)}, which cannot be read as video")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        told = "no such file" if isinstance(error, FileNotFoundError) else pyav.reason(error)
        raise InputError(f"{target.shown}: {told}") from error
    if size == 0:
        raise InputError(f"{target.shown}: is empty")
    if target.format == "rawvideo" and size % (one := frame_bytes(target.options)):
        shape = target.options["video_size"]
        raise InputError(
            f"{target.shown}: {size} bytes are no whole number of {shape} frames ({one} bytes each)"
        )
    return size


def _what(path: Path) -> str:
    return "a directory" if path.is_dir() else "no regular file"


class _Zeros:
    """A file that never ends."""

    name = "zeros"

    def read(self, size: int) -> bytes:
        """Nothing but zeros."""
        return bytes(size)
