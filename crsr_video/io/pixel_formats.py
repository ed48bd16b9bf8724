"""Descriptions of how FFmpeg's pixel formats store their components.

A pixel format is described as a list of channels, each a strided view of one plane. The same code
can therefore read and write planar, half-planar (NV12) and packed (RGB24, YUYV) pictures.
"""

from functools import lru_cache
from typing import NamedTuple

from av.video.format import VideoFormat

from crsr_video.types import Family


class Channel(NamedTuple):
    """Memory layout of the samples of one component, in units of samples."""

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
"""Half-planar formats that use the highest bits of 16-bit samples. They are treated as 16-bit."""


class PixelFormat(NamedTuple):
    """Description of how a pixel format of FFmpeg stores its components."""

    name: str
    family: Family
    bits: int
    """Codes lie in [0, 2**bits)."""
    coded_bits: int
    """Number of bits that are used. The lowest `bits - coded_bits` bits are zero."""
    x_shift: int
    y_shift: int
    channels: tuple[Channel, ...]
    """One channel for each component, with alpha last."""

    @property
    def components(self) -> int:
        """Number of components without alpha."""
        return 1 if self.family == "gray" else 3

    @property
    def alpha(self) -> bool:
        """Whether the last channel is transparency."""
        return len(self.channels) > self.components

    def same_codes(self, other: "PixelFormat") -> bool:
        """Return whether a picture can be converted to another format without changing samples."""
        return self[1:6] == other[1:6]


@lru_cache(maxsize=256)
def pixel_format(name: str) -> PixelFormat | None:
    """Return the description of a pixel format, or None if it is not read natively.

    Native formats have 8 to 16 bits per sample, in little-endian order, and no palette, Bayer
    pattern or hardware surface.
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


def has_alpha(name: str) -> bool:
    """Return whether a pixel format that is read natively has transparency."""
    fmt = pixel_format(name)
    return fmt is not None and fmt.alpha


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


def is_pixel_format(name: str) -> bool:
    """Return whether this FFmpeg knows a pixel format by this name."""
    try:
        VideoFormat(name)
    except ValueError:
        return False
    return True


def nearest_native(name: str) -> str:
    """Return the native pixel format to which swscale converts another one best."""
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
