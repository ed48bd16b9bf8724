"""Draw the detected faces: boxes, landmarks, numbers of people and confidence."""

import colorsys
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import MATRICES
from crsr_video.imaging.geometry import apply
from crsr_video.inspection.drawing import (
    Label,
    Planes,
    UprightCanvas,
    blend,
    halved,
    make_label,
    upright_size,
)
from crsr_video.track.regions import view_of
from crsr_video.types import Face, Frame, TrackedFrame

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
