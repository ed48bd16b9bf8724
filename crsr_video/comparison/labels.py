"""Words and lines over a 4:2:0 picture, legible on anything."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.types import Plane

Alpha = NDArray[np.float32]
Planes = tuple[Plane, ...]

_BLACK, _WHITE, _NEUTRAL = 16, 235, 128
"""Code values at 8 bits; in full range they are nearly black and nearly white."""
_FONT, _BIG, _STROKE = cv2.FONT_HERSHEY_SIMPLEX, 2.0, 4
"""OpenCV draws small letters badly, and its releases differ: they are drawn large and shrunk."""


@dataclass(frozen=True, slots=True)
class Label:
    """White letters with a black outline; all sizes even, so that chroma fits."""

    fill: Alpha
    """(H, W) in [0, 1]."""
    outline: Alpha
    """(H, W) in [0, 1], the letters included."""

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.fill.shape[1])

    def put(self, planes: Planes, x: int, y: int, bits: int) -> None:
        """Draw into planes of the given depth, with the upper left corner at even (x, y)."""
        luma, *chroma = planes
        _blend(luma[y:, x:], self.outline, _BLACK << (bits - 8))
        _blend(luma[y:, x:], self.fill, _WHITE << (bits - 8))
        height, width = self.outline.shape
        half = cv2.resize(self.outline, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        for plane in chroma:
            _blend(plane[y // 2 :, x // 2 :], half, _NEUTRAL << (bits - 8))


def letters(text: str, height: int) -> Alpha:
    """Words in a box of the given height, as wide as they need, in [0, 1]."""
    (wide, high), below = cv2.getTextSize(text, _FONT, _BIG, _STROKE)
    below = max(below, high // 3)  # Room for a "p", whatever this text has.
    drawn = np.zeros((high + below + 2 * _STROKE, wide + 2 * _STROKE), np.uint8)
    origin = _STROKE, _STROKE + high
    cv2.putText(drawn, text, origin, _FONT, _BIG, 255, _STROKE, cv2.LINE_AA)
    width = max(1, round(drawn.shape[1] * height / drawn.shape[0]))
    small = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    share: Alpha = small.astype(np.float32) / np.float32(255)
    return share


def label(text: str, width: int, height: int) -> Label:
    """A label for a picture of the given size."""
    fill = letters(text, max(12, min(height // 20, width // 12)))
    around = max(1, fill.shape[0] // 12)
    even = [2 * around + (-side) % 2 for side in fill.shape]
    fill = np.pad(fill, [(around, extra - around) for extra in even])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * around + 1, 2 * around + 1))
    return Label(fill, cv2.dilate(fill, disc))


def line(planes: Planes, x: int, bits: int) -> None:
    """Draw a thin upright line, white between black, about the edge left of an even column."""
    luma, *chroma = planes
    luma[:, x - 2 : x + 2] = _BLACK << (bits - 8)
    luma[:, x - 1 : x + 1] = _WHITE << (bits - 8)
    for plane in chroma:
        plane[:, x // 2 - 1 : x // 2 + 1] = _NEUTRAL << (bits - 8)


def _blend(plane: Plane, alpha: Alpha, code: int) -> None:
    """Mix a code into the upper left of a plane; what sticks out is left off."""
    region = plane[: alpha.shape[0], : alpha.shape[1]]
    share = alpha[: region.shape[0], : region.shape[1]]
    region[...] = np.rint(region + (code - region.astype(np.float32)) * share)
