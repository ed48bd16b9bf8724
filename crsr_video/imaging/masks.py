"""The soft mask of a face, and the positions of such masks in a finished frame.

A finished frame is one into which the enhanced faces have been pasted. `mask` returns how strongly
each of its pixels may have been changed, and `touched` returns which pixels may differ at all.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Matrix, compose, invert, resize_matrix
from crsr_video.types import Frame, Patch

FloatPicture = NDArray[np.float32]
Mask = NDArray[np.bool_]

_CENTRE = (0.5, 0.56)
_RADII = (0.37, 0.43)
"""Centre (x, y) and radii of the mask's ellipse, as fractions of the crop's side. The ellipse
reaches from ear to ear, and from the hairline to below the chin."""

_SOFTNESS = 0.35
"""Fraction of the radius over which the mask falls from one to zero."""

_REACH_OF_FRAME, _REACH_OF_CROP = 3, 2
"""Number of samples beyond the ellipse that resampling may change. The first counts samples of the
frame's plane, for crops that shrink. The second counts samples of the crop, for crops that grow."""


@lru_cache(maxsize=8)
def face_mask(size: int) -> FloatPicture:
    """Return the mask of the canonical face: (size, size), in [0, 1], and 0 at the edges."""
    grid = (np.arange(size) + 0.5) / size
    x, y = (grid - _CENTRE[0]) / _RADII[0], (grid - _CENTRE[1]) / _RADII[1]
    return _ramp(np.sqrt(x[None, :] ** 2 + y[:, None] ** 2))


_EIGHTHS = (slice(1, 8), slice(1, 7))
"""Rows and columns that contain the ellipse, in eighths of the crop's side."""


def window(size: int) -> tuple[slice, slice]:
    """Return the rows and columns of a crop, in pixels, that contain its whole mask."""
    rows, columns = (slice(e.start * size // 8, e.stop * size // 8) for e in _EIGHTHS)
    return rows, columns


def _ramp(radius: NDArray[np.float64]) -> FloatPicture:
    """Return mask values for distances from the centre: 1 in the middle, 0 from the ellipse on."""
    ramp = np.clip((1.0 - radius) / _SOFTNESS, 0.0, 1.0)
    # Smoothstep avoids a visible line where the ramp begins or ends.
    mask: FloatPicture = (ramp**2 * (3.0 - 2.0 * ramp)).astype(np.float32)
    return mask


def patch(
    track: int, frame: Frame, crop_from_frame: Matrix, size: int, weight: float = 1.0
) -> Patch:
    """Return the area of a frame that may change when a face is pasted from a crop.

    Args:
        track: Track ID of the face.
        frame: The frame, at its final size.
        crop_from_frame: 2x3 matrix from frame pixels to crop pixels.
        size: Side of the crop in pixels.
        weight: The mask's value at its middle.
    """
    unit = compose(resize_matrix(1 / size), crop_from_frame)
    unit[:, 2] += 0.5  # From pixel centres to fractions of the side.
    place = invert(unit)
    # Half the bounding box of the ellipse, which is tighter than that of the square around it.
    spread = np.hypot(place[:, 0] * _RADII[0], place[:, 1] * _RADII[1]) + _reach(frame, unit, size)
    middle = place[:, :2] @ _CENTRE + place[:, 2]
    low, high = np.floor(middle - spread), np.ceil(middle + spread) + 1
    limits = (frame.width, frame.height)
    x0, y0 = (int(np.clip(v, 0, n)) for v, n in zip(low, limits, strict=True))
    x1, y1 = (int(np.clip(v, 0, n)) for v, n in zip(high, limits, strict=True))
    return Patch(track, (x0, y0, x1, y1), unit, size, weight)


def _reach(frame: Frame, unit: Matrix, size: int) -> float:
    """Return how far beyond the ellipse luma or chroma samples may change, in frame pixels."""
    chroma = 1 << max(frame.layout.x_shift, frame.layout.y_shift)
    return _REACH_OF_FRAME * chroma + _REACH_OF_CROP * _stretch(invert(unit)) / size


def _stretch(matrix: Matrix) -> float:
    """Return the factor by which a transform enlarges, in the direction of most enlargement."""
    return float(np.linalg.norm(matrix[:, :2], 2))


def mask(frame: Frame) -> FloatPicture:
    """Return how strongly each pixel of a finished frame may have been changed: (H, W) in [0, 1].

    The values include the strength with which a face was pasted. Where masks overlap, the higher
    value counts.
    """
    result = np.zeros((frame.height, frame.width), np.float32)
    for part in frame.changed:
        rows, columns, radius = _radii(part)
        view = result[rows, columns]
        np.maximum(view, part.weight * _ramp(radius), out=view)
    return result


def touched(frame: Frame) -> Mask:
    """Return which pixels of a finished frame may differ because faces were pasted; (H, W).

    All other pixels are bit-identical. If a chroma sample may differ, so may all pixels that share
    it.
    """
    result = np.zeros((frame.height, frame.width), np.bool_)
    for part in frame.changed:
        rows, columns, radius = _radii(part)
        beyond = _reach(frame, part.crop_from_frame, part.size) * _stretch(part.crop_from_frame)
        result[rows, columns] |= radius <= 1 + beyond / min(_RADII)
    return result


def _radii(part: Patch) -> tuple[slice, slice, NDArray[np.float64]]:
    """Return the rows and columns of a patch, and the distances of its pixels from the centre.

    A distance of 1 lies on the ellipse.
    """
    x0, y0, x1, y1 = part.box
    x, y = np.arange(x0, x1), np.arange(y0, y1)[:, None]
    m = part.crop_from_frame
    u = (m[0, 0] * x + m[0, 1] * y + m[0, 2] - _CENTRE[0]) / _RADII[0]
    v = (m[1, 0] * x + m[1, 1] * y + m[1, 2] - _CENTRE[1]) / _RADII[1]
    return slice(y0, y1), slice(x0, x1), np.hypot(u, v)
