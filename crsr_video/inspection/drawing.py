"""Draw text, lines, shapes and detected faces on upright 4:2:0 pictures."""

import colorsys
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.config import OutputSettings
from crsr_video.errors import InputError
from crsr_video.imaging.colour import MATRICES, MATRIX_CODES
from crsr_video.imaging.geometry import apply
from crsr_video.io import pyav
from crsr_video.io.containers import BY_SUFFIX, holds_video
from crsr_video.track.regions import view_of
from crsr_video.types import Face, Frame, Plane, TrackedFrame

if TYPE_CHECKING:
    from av import VideoFrame

Alpha = NDArray[np.float32]
"""Opacity of every pixel, (H, W) in [0, 1]."""
Planes = tuple[Plane, ...]

_BLACK, _WHITE, _NEUTRAL = 16, 235, 128
"""8-bit codes of limited range. Read as full range, they are almost black and almost white."""
_FONT, _FONT_SCALE, _FONT_STROKE = cv2.FONT_HERSHEY_SIMPLEX, 2.0, 4
"""Text is drawn large and then shrunk, because OpenCV draws small text badly, and differently in
different releases."""


class UprightCanvas:
    """Converts frames to upright 4:2:0 pictures of one size, bit depth and colour.

    Args:
        size: Width, height and sample aspect ratio of the upright pictures.
        bits: Bit depth, 8 or 10.
        matrix: Name of the YUV matrix.
        full_range: Whether codes use the full range.

    Raises:
        InputError: A side is one pixel long.
    """

    def __init__(
        self, size: tuple[int, int, Fraction], *, bits: int, matrix: str, full_range: bool
    ) -> None:
        width, height, self._aspect = size
        # 4:2:0 halves the sides, so a picture with an odd side loses its last column or row.
        self.width, self.height = width // 2 * 2, height // 2 * 2
        if not (self.width and self.height):
            raise InputError("a video with a side of one pixel is too small to draw on")
        self.bits, self.matrix, self.full_range = bits, matrix, full_range
        self._format = "yuv420p" if bits == 8 else "yuv420p10le"

    def blank(self, width: int | None = None) -> "tuple[VideoFrame, Planes]":
        """Return a new picture and its writable planes."""
        picture = pyav.blank(width or self.width, self.height, self._format)
        return picture, pyav.views(picture)

    def planes(self, frame: Frame, *, matrix: str | None = None, scale: int = 1) -> Planes:
        """Return the planes of a frame in the form of the canvas.

        Args:
            frame: Any frame of the video.
            matrix: YUV matrix of the frame, if its own tag is wrong.
            scale: Factor by which the frame is enlarged.
        """
        native, full_range = frame.native, frame.layout.full_range
        matrix = matrix or frame.layout.matrix
        wanted = (self._format, self.matrix, self.full_range)
        if scale > 1 or (native.format.name, matrix, full_range) != wanted:
            native = native.reformat(
                frame.width * scale,
                frame.height * scale,
                self._format,
                src_colorspace=MATRIX_CODES[matrix],
                dst_colorspace=MATRIX_CODES[self.matrix],
                src_color_range=2 if full_range else 1,
                dst_color_range=2 if self.full_range else 1,
                interpolation="BICUBIC",
            )
        # Rotation shifts chroma by half a luma pixel from its siting, equally in every frame.
        turned = [np.rot90(plane, frame.rotation // 90) for plane in pyav.views(native)]
        return tuple(
            plane[: self.height >> bool(i), : self.width >> bool(i)]
            for i, plane in enumerate(turned)
        )

    def finish(self, picture: "VideoFrame", planes: Planes, frame: Frame) -> Frame:
        """Return a drawn picture as a frame with the time and colour tags of another frame."""
        pyav.copy_colour(frame.native, picture)
        picture.colorspace = MATRIX_CODES[self.matrix]
        picture.color_range = 2 if self.full_range else 1
        picture.duration = frame.native.duration
        return Frame(
            planes,
            pyav.layout(picture),
            frame.pts,
            frame.time_base,
            sample_aspect=self._aspect,
            native=picture,
        )


def upright_size(frame: Frame) -> tuple[int, int, Fraction]:
    """Return width, height and sample aspect ratio of a frame as a player shows it."""
    if frame.rotation % 180:
        return frame.height, frame.width, 1 / frame.sample_aspect
    return frame.width, frame.height, frame.sample_aspect


def playable_settings(path: Path, bits: int = 8, preset: str | None = None) -> OutputSettings:
    """Return settings for a codec that plays almost anywhere, if the container supports it."""
    codec = "libx264" if bits == 8 else "libx265"
    container = BY_SUFFIX.get(path.suffix.lower())
    if container is None or not holds_video(container, codec):
        return OutputSettings()
    return OutputSettings(codec=codec, preset=preset)


@dataclass(frozen=True, slots=True)
class Label:
    """White text with a black outline. Both sides are even, as chroma requires."""

    text: Alpha
    outline: Alpha
    """Opacity of the outline including the text."""

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.text.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.text.shape[0])

    def draw(self, planes: Planes, x: int, y: int, bits: int) -> None:
        """Draw the label with its upper left corner at even coordinates."""
        luma, *chroma = planes
        blend(luma[y:, x:], self.outline, _BLACK << (bits - 8))
        blend(luma[y:, x:], self.text, _WHITE << (bits - 8))
        half = halved(self.outline)
        for plane in chroma:
            blend(plane[y // 2 :, x // 2 :], half, _NEUTRAL << (bits - 8))


def make_label(text: str, width: int, height: int) -> Label:
    """Return a label that suits a picture of the given size."""
    fill = render_text(text, max(12, min(height // 20, width // 12)))
    border = max(1, fill.shape[0] // 12)
    borders = [2 * border + (-side) % 2 for side in fill.shape]
    fill = np.pad(fill, [(border, both - border) for both in borders])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * border + 1, 2 * border + 1))
    return Label(fill, cv2.dilate(fill, disc))


def render_text(text: str, height: int) -> Alpha:
    """Return text of a given height, as wide as it needs to be."""
    (wide, high), below = cv2.getTextSize(text, _FONT, _FONT_SCALE, _FONT_STROKE)
    below = max(below, high // 3)  # Leave room for descenders even if this text has none.
    drawn = np.zeros((high + below + 2 * _FONT_STROKE, wide + 2 * _FONT_STROKE), np.uint8)
    origin = _FONT_STROKE, _FONT_STROKE + high
    cv2.putText(drawn, text, origin, _FONT, _FONT_SCALE, 255, _FONT_STROKE, cv2.LINE_AA)
    width = max(1, round(drawn.shape[1] * height / drawn.shape[0]))
    small = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    alpha: Alpha = small.astype(np.float32) / np.float32(255)
    return alpha


def draw_vertical_line(planes: Planes, x: int, bits: int) -> None:
    """Draw a thin white line with black borders, centred on the left edge of an even column."""
    luma, *chroma = planes
    luma[:, x - 2 : x + 2] = _BLACK << (bits - 8)
    luma[:, x - 1 : x + 1] = _WHITE << (bits - 8)
    for plane in chroma:
        plane[:, x // 2 - 1 : x // 2 + 1] = _NEUTRAL << (bits - 8)


def blend(plane: Plane, alpha: Alpha, code: int) -> None:
    """Blend a code into the upper left of a plane. Parts outside the plane are ignored."""
    region = plane[: alpha.shape[0], : alpha.shape[1]]
    share = alpha[: region.shape[0], : region.shape[1]]
    region[...] = np.rint(region + (code - region.astype(np.float32)) * share)


def halved(alpha: Alpha) -> Alpha:
    """Return the opacity for subsampled chroma."""
    size = alpha.shape[1] // 2, alpha.shape[0] // 2
    small: Alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    return small


_HUE_STEP = 0.381966
"""Golden section of the colour circle: the hues of consecutive numbers differ clearly."""
_GREY = 0.6
"""Luma of the outline of a skipped face, where 1 is white."""
_SUBPIXEL_BITS = 3
"""Number of fractional bits in the coordinates that are passed to OpenCV."""


class Overlay:
    """Draws faces on upright 8-bit 4:2:0 copies of the frames.

    Args:
        first: First frame of the video.
    """

    def __init__(self, first: Frame) -> None:
        full_range = first.layout.full_range and first.layout.family == "yuv"
        self._canvas = UprightCanvas(
            upright_size(first), bits=8, matrix=first.layout.matrix, full_range=full_range
        )
        self._stroke = max(1, round(self._canvas.height / 400))
        self._text_height = max(14, self._canvas.height // 36) // 2 * 2

    def draw(self, item: TrackedFrame) -> Frame:
        """Return a copy of a frame with its faces drawn in."""
        frame = item.frame
        picture, planes = self._canvas.blank()
        for plane, source in zip(planes, self._canvas.planes(frame), strict=True):
            plane[...] = source
        # The picture keeps the frame's own pixels, so only the rotation counts.
        square = replace(frame, sample_aspect=Fraction(1))
        to_picture = view_of(square).upright_from_frame
        # Skipped faces are drawn first, so that they never hide another face.
        for face in sorted(item.faces, key=lambda f: f.skipped is None):
            corners = apply(to_picture, np.reshape(face.box, (2, 2)))
            self._draw_face(planes, face, corners, apply(to_picture, face.landmarks))
        return self._canvas.finish(picture, planes, frame)

    def _draw_face(
        self,
        planes: Planes,
        face: Face,
        corners: NDArray[np.float64],
        landmarks: NDArray[np.float64],
    ) -> None:
        everything = np.vstack([corners, landmarks])
        if not np.isfinite(everything).all() or np.abs(everything).max() > 1e5:
            return
        bounds = self._even_bounds(everything)
        if bounds is None:
            return
        (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
        left, top, right, bottom = bounds
        mask = np.zeros((bottom - top, right - left), np.uint8)
        box = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) - (left, top)
        stroke = self._stroke if face.skipped else 2 * self._stroke
        cv2.polylines(mask, [_fixed_point(box)], True, 255, stroke, cv2.LINE_AA, _SUBPIXEL_BITS)
        radius = round(max(1.0, (x1 - x0) / 40) * (1 << _SUBPIXEL_BITS))
        for point in _fixed_point(landmarks - (left, top)):
            cv2.circle(mask, point.tolist(), radius, 255, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        opacity = 0.35 + 0.65 * face.presence if face.skipped is None else 0.7
        alpha = mask.astype(np.float32) * np.float32(opacity / 255)
        person = 0 if face.skipped else face.person_number
        codes = _colour(person, self._canvas.matrix, self._canvas.full_range)
        for index, (plane, code) in enumerate(zip(planes, codes, strict=True)):
            half = bool(index)
            blend(plane[top >> half :, left >> half :], halved(alpha) if half else alpha, code)
        self._draw_caption(planes, face, x0, y0, y1)

    def _even_bounds(self, points: NDArray[np.float64]) -> tuple[int, int, int, int] | None:
        margin = 4 * self._stroke + 4
        low = (np.floor(points.min(0)).astype(int) - margin) // 2 * 2
        high = (np.ceil(points.max(0)).astype(int) + margin) // 2 * 2
        left, top = max(0, int(low[0])), max(0, int(low[1]))
        right, bottom = (
            min(self._canvas.width, int(high[0])),
            min(self._canvas.height, int(high[1])),
        )
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _draw_caption(
        self, planes: Planes, face: Face, x: float, top: float, bottom: float
    ) -> None:
        """Write person number and confidence above the box, or below it if there is no room."""
        text = f"{face.person_number}  {face.confidence:.2f}"
        if face.skipped is not None:
            text += f"  {face.skipped}"
        elif face.presence < 0.995:
            text += f"  presence {face.presence:.2f}"
        label = _label(text, self._text_height)
        above = int(top) - label.height - 2
        y = above if above >= 0 else min(int(bottom) + 2, self._canvas.height - label.height)
        left = max(0, min(int(x), self._canvas.width - label.width))
        if y >= 0:
            label.draw(planes, left // 2 * 2, y // 2 * 2, 8)


def _fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    return fixed


@lru_cache(maxsize=256)
def _label(text: str, height: int) -> Label:
    return make_label(text, 12 * height, 20 * height)


@lru_cache(maxsize=256)
def _colour(person: int, matrix: str, full_range: bool) -> tuple[int, int, int]:
    """Return the codes (Y, Cb, Cr) of the colour of a person. Number 0 is grey."""
    hue = (person - 1) * _HUE_STEP % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 1.0) if person else (_GREY,) * 3
    kr, kb = MATRICES[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / 2 / (1 - kb), (red - luma) / 2 / (1 - kr)
    span, low, chroma = (255, 0, 255) if full_range else (219, 16, 224)
    return round(span * luma + low), round(chroma * cb + 128), round(chroma * cr + 128)
