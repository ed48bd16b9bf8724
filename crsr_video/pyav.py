"""The border to PyAV: what decode and encode share, and nothing else touches.

A pixel format is a list of channels, each a strided view of one plane, so that planar, half-planar
(NV12) and packed (RGB24, YUYV) pictures are read and written by the same few lines.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import av
import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from crsr_video.colour import matrix_name
from crsr_video.errors import CrsrError
from crsr_video.types import Family, PixelLayout, Plane

Bytes = NDArray[np.uint8]

FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""

if TYPE_CHECKING:  # Generic for the type checker only.
    Packet: TypeAlias = av.Packet[Any]
else:
    Packet = av.Packet


@dataclass(frozen=True, slots=True)
class Passthrough:
    """A packet of a stream that is copied: audio, subtitles, data."""

    stream: int
    """Index of its stream in the source."""
    packet: Packet
    """Opaque to everyone but the encoder."""


class Channel(NamedTuple):
    """Where the samples of one component lie, in units of samples."""

    plane: int
    offset: int = 0
    step: int = 1


_PACKED: dict[str, tuple[tuple[int, int], ...]] = {
    # (offset, step) of the components, alpha last.
    "rgb24": ((0, 3), (1, 3), (2, 3)),
    "bgr24": ((2, 3), (1, 3), (0, 3)),
    "rgba": ((0, 4), (1, 4), (2, 4), (3, 4)),
    "bgra": ((2, 4), (1, 4), (0, 4), (3, 4)),
    "argb": ((1, 4), (2, 4), (3, 4), (0, 4)),
    "abgr": ((3, 4), (2, 4), (1, 4), (0, 4)),
    "rgb0": ((0, 4), (1, 4), (2, 4)),
    "bgr0": ((2, 4), (1, 4), (0, 4)),
    "0rgb": ((1, 4), (2, 4), (3, 4)),
    "0bgr": ((3, 4), (2, 4), (1, 4)),
    "rgb48le": ((0, 3), (1, 3), (2, 3)),
    "bgr48le": ((2, 3), (1, 3), (0, 3)),
    "rgba64le": ((0, 4), (1, 4), (2, 4), (3, 4)),
    "bgra64le": ((2, 4), (1, 4), (0, 4), (3, 4)),
    "yuyv422": ((0, 2), (1, 4), (3, 4)),
    "yvyu422": ((0, 2), (3, 4), (1, 4)),
    "uyvy422": ((1, 2), (0, 4), (2, 4)),
    "ya8": ((0, 2), (1, 2)),
    "ya16le": ((0, 2), (1, 2)),
}
_HIGH_BITS = ("p010", "p012", "p016", "p210", "p212", "p216", "p410", "p412", "p416")
"""Half-planar formats with their bits at the top of 16: taken as 16-bit pictures."""


class PixelFormat(NamedTuple):
    """How a pixel format of FFmpeg stores its components."""

    name: str
    family: Family
    bits: int
    """Codes lie in [0, 2**bits)."""
    coded_bits: int
    """Bits that carry anything; the lowest `bits - coded_bits` are zero."""
    x_shift: int
    y_shift: int
    channels: tuple[Channel, ...]
    """One for each component, alpha last."""

    @property
    def components(self) -> int:
        """Number of components without alpha."""
        return 1 if self.family == "gray" else 3

    @property
    def alpha(self) -> bool:
        """Whether the last channel is transparency."""
        return len(self.channels) > self.components

    def same_codes(self, other: "PixelFormat") -> bool:
        """Whether one can be rewritten as the other without changing any sample."""
        return self[1:6] == other[1:6]


@lru_cache(maxsize=256)
def pixel_format(name: str) -> PixelFormat | None:
    """Describe a pixel format; None where it is not read natively.

    Natively: 8 to 16 bits a sample, little-endian, no palette, Bayer pattern or hardware surface.
    """
    fmt = VideoFormat(name, 16, 16)
    parts = fmt.components
    if not 1 <= len(parts) <= 4 or fmt.is_big_endian or fmt.has_palette or fmt.is_bayer:
        return None
    depths = {p.bits for p in parts}
    if fmt.is_bit_stream or len(depths) > 1 or not 8 <= min(depths) <= 16:
        return None
    channels = _channels(name, fmt)
    if channels is None or "msb" in name or name.startswith(("gbrpf", "gbrapf", "grayf", "yaf")):
        return None
    family: Family = "gray" if len(parts) < 3 else "rgb" if fmt.is_rgb else "yuv"
    coded = depths.pop()
    bits = 16 if name.startswith(_HIGH_BITS) else coded
    x_shift = {16: 0, 8: 1, 4: 2}[fmt.chroma_width()] if family == "yuv" else 0
    y_shift = {16: 0, 8: 1, 4: 2}[fmt.chroma_height()] if family == "yuv" else 0
    return PixelFormat(name, family, bits, coded, x_shift, y_shift, channels)


def _channels(name: str, fmt: VideoFormat) -> tuple[Channel, ...] | None:
    if name in _PACKED:
        return tuple(Channel(0, offset, step) for offset, step in _PACKED[name])
    planes = [p.plane for p in fmt.components]
    if len(set(planes)) == len(planes):
        return tuple(Channel(p) for p in planes)
    if planes == [0, 1, 1] and name.startswith(("nv", *_HIGH_BITS)):
        u, v = (1, 0) if name in ("nv21", "nv42") else (0, 1)
        return Channel(0), Channel(1, u, 2), Channel(1, v, 2)
    return None


def nearest_native(name: str) -> str:
    """The natively read pixel format to which swscale converts one that is not."""
    if pixel_format(name) is not None:
        return name
    if name.endswith("be") and pixel_format(f"{name[:-2]}le") is not None:
        return f"{name[:-2]}le"
    fmt = VideoFormat(name, 16, 16)
    alpha = fmt.has_palette or any(p.is_alpha for p in fmt.components)
    depth = max((p.bits for p in fmt.components), default=8)
    wide = not fmt.has_palette and (depth > 8 or (fmt.is_bayer and "16" in name))
    if fmt.is_rgb or fmt.has_palette or fmt.is_bayer:
        narrow, deep = ("bgra", "gbrap16le") if alpha else ("rgb24", "gbrp16le")
        return deep if wide else narrow
    if len(fmt.components) < 3:
        return "gray16le" if wide else "gray"
    sampling = {(16, 16): "444", (8, 16): "422", (8, 8): "420"}
    chroma = sampling.get((fmt.chroma_width(), fmt.chroma_height()), "444")
    return f"yuv{'a' if alpha else ''}{chroma}p{'16le' if wide else ''}"


def plane_rows(plane: VideoPlane) -> Bytes:
    """The bytes of a plane, (rows, bytes a row), top row first; padding included."""
    rows: Bytes = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
    return rows[::-1] if plane.line_size < 0 else rows


def views(frame: VideoFrame, *, alpha: bool = False) -> tuple[Plane, ...]:
    """The components of a frame as views into its planes, without padding; nothing is copied.

    Raises: ValueError: the pixel format is not one of `pixel_format`'s.
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
    # The two bytes of a sample first, then the samples: a row need not be a whole number of them.
    samples: Plane = rows[:, 2 * first : 2 * last].view(np.uint16)
    return samples[:, :: channel.step]


def layout(frame: VideoFrame, codec: str = "") -> PixelLayout:
    """How the frame's codes make a picture.

    FFmpeg's decoders know where chroma lies, but PyAV does not tell: it is taken from the codec's
    own convention (JPEG and MPEG-1 in the middle, BT.2020 4:2:0 at the top left, others left).
    Args: codec: FFmpeg's name of the codec.
    Raises: ValueError: the pixel format is not one of `pixel_format`'s.
    """
    fmt = pixel_format(frame.format.name)
    if fmt is None:
        raise ValueError(f"pixel format {frame.format.name} is not read natively")
    matrix = matrix_name(int(frame.colorspace), frame.width, frame.height)
    full = int(frame.color_range) == FULL_RANGE or fmt.name.startswith("yuvj")
    if fmt.family == "gray" and int(frame.color_range) == 0:
        full = True  # As swscale takes it.
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

    Samples of P010 and the like, whose lowest bits are not coded, are rounded to what is.
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
    """A new frame; opaque, where it has alpha."""
    frame = VideoFrame(width, height, name)
    fmt = pixel_format(name)
    if fmt is not None and fmt.alpha:
        views(frame, alpha=True)[-1][...] = (1 << fmt.bits) - 1
    return frame


def copy(frame: VideoFrame) -> VideoFrame:
    """A writable copy with everything that hangs on the frame (closed captions, HDR, alpha).

    PyAV cannot copy side data, but a filter graph without a filter hands on a second reference to
    the same picture, side data and all, which then takes its pixels along when it is to be written.
    """
    graph = Graph()
    base = frame.time_base or Fraction(1, 1000)
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=base
    )
    sink = graph.add("buffersink")
    source.link_to(sink)
    graph.configure()
    source.push(frame)
    twin = sink.pull()
    assert isinstance(twin, VideoFrame)
    twin.make_writable()
    return twin


def convert(frame: VideoFrame, name: str, size: tuple[int, int] | None = None) -> VideoFrame:
    """The frame in another pixel format: sample by sample where that is exact, else by swscale.

    Args: size: (width, height) of the result; None: the frame's.
    """
    old, new = pixel_format(frame.format.name), pixel_format(name)
    width, height = size or (frame.width, frame.height)
    if old and new and old.same_codes(new) and (width, height) == (frame.width, frame.height):
        result = blank(width, height, name)
        result.pts, result.time_base, result.duration = frame.pts, frame.time_base, frame.duration
        write(result, views(frame, alpha=old.alpha and new.alpha))
        copy_colour(frame, result)
        return result
    flags = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    return frame.reformat(width, height, name, interpolation=int(flags), **_matrix(frame, old, new))


def _matrix(frame: VideoFrame, old: PixelFormat | None, new: PixelFormat | None) -> dict[str, Any]:
    """What swscale must be told to go between RGB and YUV, and to tag the result with."""
    was_yuv, is_yuv = (f is not None and f.family == "yuv" for f in (old, new))
    if was_yuv == is_yuv:
        return {}
    tag = int(frame.colorspace) if was_yuv else 2
    matrix = _SWSCALE[matrix_name(tag, frame.width, frame.height)]
    if was_yuv:
        return {"src_colorspace": matrix}
    return {"dst_colorspace": matrix, "dst_color_range": "MPEG"}


_SWSCALE = {"bt601": "ITU601", "bt709": "ITU709", "bt2020": "BT2020", "fcc": "FCC"}
_SWSCALE |= {"smpte240m": "SMPTE240M"}


def copy_colour(source: VideoFrame, target: VideoFrame) -> None:
    """Carry the colour tags over."""
    full = source.format.name.startswith("yuvj")
    target.color_range = FULL_RANGE if full else source.color_range
    target.colorspace = source.colorspace
    target.color_primaries = source.color_primaries
    target.color_trc = source.color_trc


def side_data(frame: VideoFrame) -> dict[str, bytes]:
    """What hangs on a frame, by FFmpeg's name.

    To be asked of few frames: PyAV then keeps the frame until the garbage collector comes round.
    """
    try:
        items: Any = frame.side_data  # Typed as a dictionary, but iterates over its values.
        return {item.type.name: bytes(item) for item in items}
    except (ValueError, AttributeError):  # A kind that this PyAV has no name for.
        return {}


def reason(error: BaseException) -> str:
    """Why something failed, in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


@contextmanager
def translated(kind: type[CrsrError], what: str) -> Iterator[None]:
    """Turn what PyAV raises into an error of ours: "what: why"."""
    try:
        yield
    except CrsrError:
        raise
    except (FFmpegError, OSError, ValueError, LookupError, OverflowError) as error:
        raise kind(f"{what}: {reason(error)}") from error
