"""Frames of any layout, faces at any place, and slow references, for tests."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from crsr_video.imaging.geometry import TEMPLATE
from crsr_video.types import Crop, Face, Frame, PixelLayout, TrackedFrame

LAYOUTS = {
    "yuv420p": PixelLayout("yuv420p", "yuv", 8, 1, 1),
    "yuv420p-jpeg": PixelLayout(
        "yuvj420p", "yuv", 8, 1, 1, matrix="bt601", full_range=True, x_cosited=False
    ),
    "yuv422p": PixelLayout("yuv422p", "yuv", 8, 1, 0, matrix="bt601"),
    "yuv444p": PixelLayout("yuv444p", "yuv", 8, matrix="smpte240m"),
    "yuv420p10": PixelLayout(
        "yuv420p10le", "yuv", 10, 1, 1, matrix="bt2020", x_cosited=True, y_cosited=True
    ),
    "yuv422p12": PixelLayout("yuv422p12le", "yuv", 12, 1, 0, full_range=True),
    "yuv444p16": PixelLayout("yuv444p16le", "yuv", 16, matrix="bt2020"),
    "yuv411p": PixelLayout("yuv411p", "yuv", 8, 2, 0, matrix="fcc"),
    "rgb24": PixelLayout("rgb24", "rgb", 8, full_range=True),
    "gbrp16": PixelLayout("gbrp16le", "rgb", 16, full_range=True),
    "gray": PixelLayout("gray", "gray", 8, full_range=True),
    "gray10-limited": PixelLayout("gray10le", "gray", 10),
}
"""One layout of every kind that stages treat differently."""

ALL = tuple(LAYOUTS)


def plane_shapes(layout: PixelLayout, height: int, width: int) -> list[tuple[int, int]]:
    """Return the shapes of the components. Sizes of chroma are rounded up."""
    chroma = (-(-height >> layout.y_shift), -(-width >> layout.x_shift))
    if layout.family == "gray":
        return [(height, width)]
    return [(height, width), *([chroma] * 2 if layout.family == "yuv" else [(height, width)] * 2)]


def positions(layout, index, shape):
    """Return the frame coordinates (x, y) of a component's samples, each of the plane's shape."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    if index == 0 or layout.family != "yuv":
        return x.astype(float), y.astype(float)
    fx, fy = 1 << layout.x_shift, 1 << layout.y_shift
    return (
        x * fx + (0 if layout.x_cosited else (fx - 1) / 2),
        y * fy + (0 if layout.y_cosited else (fy - 1) / 2),
    )


def make_frame(
    layout: PixelLayout | str, height: int, width: int, rng: np.random.Generator, **fields: Any
) -> Frame:
    """Return a frame with blobs of all sizes over the whole range of codes."""
    layout = LAYOUTS[layout] if isinstance(layout, str) else layout
    planes = [clutter(shape, rng) for shape in plane_shapes(layout, height, width)]
    return frame_of(layout, *(plane * (2**layout.bits - 1) for plane in planes), **fields)


def frame_of(layout: PixelLayout | str, *planes: np.ndarray, **fields: Any) -> Frame:
    """Return a frame of given codes, which are rounded. Its planes are read-only."""
    layout = LAYOUTS[layout] if isinstance(layout, str) else layout
    kind = np.uint8 if layout.bits == 8 else np.uint16
    codes = [np.clip(np.rint(p), 0, 2**layout.bits - 1).astype(kind) for p in planes]
    for plane in codes:
        plane.flags.writeable = False
    defaults: dict[str, Any] = {"pts": 0, "time_base": Fraction(1, 25)}
    return Frame(tuple(codes), layout, **(defaults | fields))


def clutter(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a random picture in [0, 1] with detail at every scale."""
    picture = np.zeros(shape)
    for cells, weight in ((3, 0.4), (9, 0.3), (27, 0.2)):
        small = rng.uniform(0, weight, (cells, cells))
        picture += cv2.resize(small, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return picture + rng.uniform(0, 0.1, shape)


def codes_of(rgb: tuple[float, float, float], layout: PixelLayout) -> list[float]:
    """Return the unrounded codes of one colour, computed from the definitions in H.273."""
    weights = {
        "bt601": (0.299, 0.114),
        "bt709": (0.2126, 0.0722),
        "bt2020": (0.2627, 0.0593),
        "smpte240m": (0.212, 0.087),
        "fcc": (0.30, 0.11),
    }
    red, green, blue = rgb
    top = 2**layout.bits - 1
    if layout.family == "rgb":
        return [red * top, green * top, blue * top]
    kr, kb = weights["bt709" if layout.family == "gray" else layout.matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / 2 / (1 - kb), (red - luma) / 2 / (1 - kr)
    unit, middle = 2 ** (layout.bits - 8), 2 ** (layout.bits - 1)
    if layout.full_range:
        codes = [luma * top, cb * top + middle, cr * top + middle]
    else:
        codes = [(219 * luma + 16) * unit, (224 * cb + 128) * unit, (224 * cr + 128) * unit]
    return codes[:1] if layout.family == "gray" else codes


def flat_frame(
    layout: PixelLayout | str, height: int, width: int, rgb: tuple[float, float, float]
) -> Frame:
    """Return a frame of one colour."""
    layout = LAYOUTS[layout] if isinstance(layout, str) else layout
    shapes = plane_shapes(layout, height, width)
    return frame_of(
        layout, *(np.full(s, c) for s, c in zip(shapes, codes_of(rgb, layout), strict=True))
    )


def landmarks_at(x: float, y: float, side: float, degrees: float = 0.0) -> np.ndarray:
    """Return landmarks of the canonical face, rotated, whose crop is `side` wide around (x, y)."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (TEMPLATE - 0.5) * side @ turn.T + (x, y)


def make_face(
    x: float = 48, y: float = 48, side: float = 64, degrees: float = 0.0, **fields: Any
) -> Face:
    """Return a face whose canonical crop is `side` pixels wide and centred on (x, y)."""
    half = side / 1.9 / 2
    face = Face(0, landmarks_at(x, y, side, degrees), (x - half, y - half, x + half, y + half), 1.0)
    return replace(face, **fields)


def tracked(frame: Frame, *faces: Face, cut: bool = False) -> TrackedFrame:
    return TrackedFrame(frame, faces, cut)


def crop_of(value: float, size: int = 8) -> Crop:
    """Return a crop of one shade of grey."""
    return Crop(np.full((3, size, size), value, np.float32), np.eye(2, 3))


def same_planes(a: Frame, b: Frame) -> bool:
    """Return whether two frames agree in every bit."""
    pairs = zip(a.components, b.components, strict=True)
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)
