"""Views, copies and conversions of PyAV's pictures, which readers and writers share."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import av
import numpy as np
from av import logging
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc, Interpolation

from crsr_video.errors import CrsrError
from crsr_video.imaging.colour import matrix_name
from crsr_video.io.picture_properties import PictureFilter
from crsr_video.io.pixel_formats import Channel, PixelFormat, pixel_format
from crsr_video.types import Bytes, PixelLayout, Plane

FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""
LIMITED_RANGE = 1
"""AVCOL_RANGE_MPEG."""
SCALING_FLAGS = int(
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
)
"""Interpolation flags for swscale."""
SWSCALE_MATRICES = {
    "bt601": "ITU601",
    "bt709": "ITU709",
    "bt2020": "BT2020",
    "fcc": "FCC",
    "smpte240m": "SMPTE240M",
}
"""PyAV's names of the colour matrices that swscale can convert."""

if TYPE_CHECKING:  # Generic for the type checker only.
    Packet: TypeAlias = av.Packet[Any]
else:
    Packet = av.Packet


@dataclass(frozen=True, slots=True)
class Passthrough:
    """A packet of a stream that is copied unchanged: audio, subtitles or data."""

    stream: int
    """Index of its stream in the source."""
    packet: Packet
    """The packet, which only readers and writers inspect."""


def plane_rows(plane: VideoPlane) -> Bytes:
    """Return the bytes of a plane, (rows, bytes per row), top row first, with padding."""
    rows: Bytes = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
    return rows[::-1] if plane.line_size < 0 else rows


def views(frame: VideoFrame, *, alpha: bool = False) -> tuple[Plane, ...]:
    """Return the components of a frame as views into its planes, without padding.

    Args:
        frame: A picture, whose memory the views share.
        alpha: Whether transparency is included, as the last component.

    Raises:
        ValueError: `pixel_format` does not describe the pixel format.
    """
    fmt = pixel_format(frame.format.name)
    if fmt is None:
        raise ValueError(f"pixel format {frame.format.name} is not read natively")
    channels = fmt.channels if alpha else fmt.channels[: fmt.components]
    planes = {c.plane: frame.planes[c.plane] for c in channels}
    return tuple(
        _view(planes[c.plane], c, fmt, frame, chroma=fmt.family == "yuv" and i in (1, 2))
        for i, c in enumerate(channels)
    )


def _view(
    plane: VideoPlane, channel: Channel, fmt: PixelFormat, frame: VideoFrame, chroma: bool
) -> Plane:
    width = -(-frame.width >> fmt.x_shift) if chroma else frame.width
    height = -(-frame.height >> fmt.y_shift) if chroma else frame.height
    rows = plane_rows(plane)[:height]
    first, last = channel.offset, channel.offset + (width - 1) * channel.step + 1
    if fmt.bits == 8:
        return rows[:, first : last : channel.step]
    # The bytes are cut before they are viewed as samples, since a row may end within a sample.
    samples: Plane = rows[:, 2 * first : 2 * last].view(np.uint16)
    return samples[:, :: channel.step]


def layout(frame: VideoFrame, codec: str = "", *, name: str | None = None) -> PixelLayout:
    """Return the pixel layout of a frame, which says how its codes make a picture.

    FFmpeg's decoders know the chroma siting, but PyAV does not expose it. It is therefore taken
    from the convention of the codec: centred for JPEG and MPEG-1, at the top left for BT.2020
    4:2:0, and at the left for all others.

    Args:
        frame: A picture.
        codec: FFmpeg's name of the codec.
        name: Pixel format that the frame will have. Defaults to its own.

    Raises:
        ValueError: `pixel_format` does not describe the pixel format.
    """
    fmt = pixel_format(name or frame.format.name)
    if fmt is None:
        raise ValueError(f"pixel format {frame.format.name} is not read natively")
    matrix = matrix_name(int(frame.colorspace), frame.width, frame.height)
    full = int(frame.color_range) == FULL_RANGE or fmt.name.startswith("yuvj")
    if fmt.family == "gray" and int(frame.color_range) == 0:
        full = True  # swscale assumes the same.
    modern = codec in ("h264", "hevc", "av1", "vp9")
    middle = codec in ("mjpeg", "mpeg1video") or (fmt.name.startswith("yuvj") and not modern)
    return PixelLayout(
        name=fmt.name,
        family=fmt.family,
        bits=fmt.bits,
        x_shift=fmt.x_shift,
        y_shift=fmt.y_shift,
        matrix=matrix,
        full_range=full,
        x_cosited=not middle,
        y_cosited=matrix == "bt2020" and fmt.y_shift == 1,
    )


def write(frame: VideoFrame, components: tuple[Plane, ...]) -> None:
    """Copy components into a writable frame of the same size.

    Samples of padded formats such as P010 are rounded to the coded number of bits.
    """
    fmt = pixel_format(frame.format.name)
    idle = fmt.bits - fmt.coded_bits if fmt else 0
    for target, source in zip(views(frame, alpha=True), components, strict=False):
        if idle:
            rounded = np.minimum(source.astype(np.uint32) + (1 << (idle - 1)), (1 << 16) - 1)
            target[...] = rounded >> idle << idle
        else:
            target[...] = source


def blank(width: int, height: int, name: str) -> VideoFrame:
    """Return a new frame, which is opaque if it has alpha."""
    frame = VideoFrame(width, height, name)
    fmt = pixel_format(name)
    if fmt is not None and fmt.alpha:
        views(frame, alpha=True)[-1][...] = (1 << fmt.bits) - 1
    return frame


def copy(frame: VideoFrame) -> VideoFrame:
    """Return a writable copy with all side data (closed captions, HDR) and alpha.

    PyAV cannot copy side data. However, a filter graph without a filter returns a second reference
    to the same picture and its side data. Making this reference writable copies the samples.
    """
    twin = _thread.reference(frame)
    assert twin is not None
    twin.make_writable()
    return twin


class _Thread(threading.local):
    """A filter per thread, because no two threads may use one at the same time."""

    def __init__(self) -> None:
        self.reference = PictureFilter()


_thread = _Thread()


def convert(frame: VideoFrame, name: str, size: tuple[int, int] | None = None) -> VideoFrame:
    """Convert a frame to another pixel format: sample by sample if that is exact, else by swscale.

    Args:
        frame: A picture.
        name: FFmpeg's name of the pixel format.
        size: Width and height of the result. Defaults to those of the frame.
    """
    old, new = pixel_format(frame.format.name), pixel_format(name)
    width, height = size or (frame.width, frame.height)
    if old and new and old.same_codes(new) and (width, height) == (frame.width, frame.height):
        result = blank(width, height, name)
        result.pts, result.time_base, result.duration = frame.pts, frame.time_base, frame.duration
        write(result, views(frame, alpha=old.alpha and new.alpha))
        copy_colour(frame, result)
        return result
    return frame.reformat(
        width, height, name, interpolation=SCALING_FLAGS, **_matrices(frame, old, new)
    )


def convert_colours(
    frame: VideoFrame,
    name: str,
    size: tuple[int, int],
    colours: tuple[str, bool],
    like: VideoFrame,
) -> VideoFrame:
    """Return a frame that looks the same, but whose colours are coded in another way.

    Args:
        frame: A picture.
        name: FFmpeg's name of the pixel format.
        size: Width and height of the result.
        colours: Matrix of the result, and whether its codes use the full range.
        like: A picture with the colour tags of the result.
    """
    matrix, full = colours
    own = layout(frame) if pixel_format(frame.format.name) else None
    was_full = int(frame.color_range) == FULL_RANGE if own is None else own.full_range
    was = matrix_name(int(frame.colorspace), frame.width, frame.height)
    result = frame.reformat(
        *size,
        name,
        interpolation=SCALING_FLAGS,
        src_colorspace=SWSCALE_MATRICES[was],
        dst_colorspace=SWSCALE_MATRICES[matrix],
        src_color_range=FULL_RANGE if was_full else LIMITED_RANGE,
        dst_color_range=FULL_RANGE if full else LIMITED_RANGE,
    )
    copy_colour(like, result)
    return result


def _matrices(
    frame: VideoFrame, old: PixelFormat | None, new: PixelFormat | None
) -> dict[str, Any]:
    """Return the colour properties that swscale needs between RGB and YUV."""
    was_yuv, is_yuv = (f is not None and f.family == "yuv" for f in (old, new))
    if was_yuv == is_yuv:
        return {}
    tag = int(frame.colorspace) if was_yuv else 2
    matrix = SWSCALE_MATRICES[matrix_name(tag, frame.width, frame.height)]
    if was_yuv:
        return {"src_colorspace": matrix}
    return {"dst_colorspace": matrix, "dst_color_range": "MPEG"}


def copy_colour(source: VideoFrame, target: VideoFrame) -> None:
    """Copy the colour tags of one frame to another."""
    full = source.format.name.startswith("yuvj")
    target.color_range = FULL_RANGE if full else source.color_range
    target.colorspace = source.colorspace
    target.color_primaries = source.color_primaries
    target.color_trc = source.color_trc


def colour_name(kind: str, code: int) -> str:
    """Return the name of a colour tag, or "" if it is unspecified or reserved.

    Args:
        kind: "primaries", "transfer" or "matrix".
        code: Code of the tag in H.273.
    """
    known: Any = {"primaries": ColorPrimaries, "transfer": ColorTrc, "matrix": Colorspace}[kind]
    if code in (0, 2) and not (kind == "matrix" and code == 0):
        return ""
    try:
        return str(known(code).name).lower().replace("itu", "bt")
    except ValueError:
        return str(code)


def reason(error: BaseException) -> str:
    """Return why something failed, in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


@contextmanager
def captured_log(level: int) -> Iterator[list[tuple[int, str, str]]]:
    """Yield a list to which FFmpeg's messages of at least this level are added."""
    before = logging.get_level()
    logging.set_level(level)
    try:
        with logging.Capture(local=False) as messages:
            yield messages
    finally:
        logging.set_level(before)


@contextmanager
def translated(kind: type[CrsrError], what: str) -> Iterator[None]:
    """Turn PyAV's errors into an error of this package, with the message "what: reason"."""
    try:
        yield
    except CrsrError:
        raise
    except (FFmpegError, OSError, ValueError, LookupError, OverflowError) as error:
        raise kind(f"{what}: {reason(error)}") from error
