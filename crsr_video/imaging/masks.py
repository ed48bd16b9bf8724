"""The soft masks of faces and heads, and the positions of such masks in a finished frame.

A finished frame is one into which the enhanced faces have been pasted. `mask` returns how strongly
each of its pixels may have been changed, and `possibly_changed` returns which pixels may differ at
all.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Matrix, compose, invert, resize_matrix
from crsr_video.types import FloatPicture, Frame, Patch, Window

Mask = NDArray[np.bool_]

_CENTRE = (0.5, 0.56)
_RADII = (0.37, 0.43)
"""Centre (x, y) and radii of the mask's ellipse, as fractions of the crop's side. The ellipse
reaches from ear to ear, and from the hairline to below the chin."""

_SOFTNESS = 0.35
"""Fraction of the radius over which the mask falls from one to zero."""

HEADROOM = 8
"""Side of the canonical crop divided by the headroom that is added to it for a head."""

_REACH_OF_FRAME, _REACH_OF_CROP = 3, 2
"""Number of samples beyond the ellipse that resampling may change. The first counts samples of the
frame's plane, for crops that shrink. The second counts samples of the crop, for crops that grow."""


@lru_cache(maxsize=8)
def face_mask(size: int) -> FloatPicture:
    """Return the mask of the canonical face: (size, size), in [0, 1], and 0 at the edges."""
    grid = (np.arange(size) + 0.5) / size
    x, y = (grid - _CENTRE[0]) / _RADII[0], (grid - _CENTRE[1]) / _RADII[1]
    return _ramp(np.sqrt(x[None, :] ** 2 + y[:, None] ** 2))


FACE_WINDOW: Window = (2, 16, 2, 14)
"""The part of a crop that contains the ellipse of the face."""


def window(size: int, part: Window = FACE_WINDOW, headroom: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns, in pixels, of a part of a crop.

    Args:
        size: Side of the crop in pixels, with its headroom.
        part: The part, in sixteenths of the canonical crop.
        headroom: See `Crop.headroom`.
    """
    side = size - headroom
    top, bottom, left, right = (edge * side // 16 for edge in part)
    across = headroom // 2
    return slice(headroom + top, headroom + bottom), slice(across + left, across + right)


def _ramp(radius: NDArray[np.float64], softness: float = _SOFTNESS) -> FloatPicture:
    """Return mask values for distances from the centre: 1 in the middle, 0 outside the ellipse."""
    ramp = np.clip((1.0 - radius) / softness, 0.0, 1.0)
    # Smoothstep avoids a visible line where the ramp begins or ends.
    mask: FloatPicture = (ramp**2 * (3.0 - 2.0 * ramp)).astype(np.float32)
    return mask


def patch(
    track: int,
    frame: Frame,
    crop_from_frame: Matrix,
    size: int,
    weight: float = 1.0,
    shares: FloatPicture | None = None,
) -> Patch:
    """Return the area of a frame that may change when a face is pasted from a crop.

    Args:
        track: Track ID of the face.
        frame: The frame, at its final size.
        crop_from_frame: 2x3 matrix from frame pixels to pixels of the canonical crop.
        size: Side of the canonical crop in pixels.
        weight: The mask's value at its middle.
        shares: The mask over the crop, see `HeadMask.shares`. Defaults to the face's ellipse.
    """
    unit = compose(resize_matrix(1 / size), crop_from_frame)
    unit[:, 2] += 0.5  # This converts pixel centres to fractions of the side.
    place = invert(unit)
    if shares is None:
        # This is half the ellipse's bounding box, which is tighter than that of its square.
        half_sides = np.hypot(place[:, 0] * _RADII[0], place[:, 1] * _RADII[1])
        middle = place[:, :2] @ _CENTRE + place[:, 2]
    else:
        across, down = _extent(shares)
        half_sides = np.abs(place[:, :2]) @ (across[1] - across[0], down[1] - down[0]) / 2
        middle = place[:, :2] @ (sum(across) / 2, sum(down) / 2) + place[:, 2]
    half_sides = half_sides + _reach(frame, unit, size)
    low, high = np.floor(middle - half_sides), np.ceil(middle + half_sides) + 1
    limits = (frame.width, frame.height)
    x0, y0 = (int(np.clip(v, 0, n)) for v, n in zip(low, limits, strict=True))
    x1, y1 = (int(np.clip(v, 0, n)) for v, n in zip(high, limits, strict=True))
    return Patch(track, (x0, y0, x1, y1), unit, size, weight, shares)


def _extent(shares: FloatPicture) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the first and last x, and the first and last y, where a head's mask is above zero.

    The values are fractions of the canonical crop. The mask is interpolated linearly between cells.
    """
    ends = []
    for axis in (0, 1):
        cells = np.flatnonzero(shares.max(axis))
        if cells.size == 0:
            return (0.5, 0.5), (0.5, 0.5)
        first, last = max(cells[0] - 0.5, 0), min(cells[-1] + 1.5, len(shares))
        scale, before = _cells_from_crop(len(shares))
        ends.append((float(first - before[axis]) / scale, float(last - before[axis]) / scale))
    return ends[0], ends[1]


def _cells_from_crop(count: int) -> tuple[float, tuple[float, float]]:
    """Return how many cells of a head's mask span the canonical crop, and how many precede it.

    Args:
        count: Cells per side of the mask.

    Returns:
        The number of cells per side of the canonical crop, and the numbers to its left and above.
    """
    headroom = count / (HEADROOM + 1)
    return count - headroom, (headroom / 2, headroom)


def _reach(frame: Frame, unit: Matrix, size: int) -> float:
    """Return how far beyond the ellipse luma or chroma samples may change, in frame pixels."""
    chroma = 1 << max(frame.layout.x_shift, frame.layout.y_shift)
    return _REACH_OF_FRAME * chroma + _REACH_OF_CROP * _stretch(invert(unit)) / size


def _stretch(matrix: Matrix) -> float:
    """Return the largest factor by which a transform enlarges in any direction."""
    return float(np.linalg.norm(matrix[:, :2], 2))


def mask(frame: Frame) -> FloatPicture:
    """Return how strongly each pixel of a finished frame may have been changed: (H, W) in [0, 1].

    The values include the strength with which a face was pasted. Where masks overlap, the higher
    value counts.
    """
    result = np.zeros((frame.height, frame.width), np.float32)
    for part in frame.changed:
        x0, y0, x1, y1 = part.box
        view = result[y0:y1, x0:x1]
        own = part.shares
        values = _ramp(_radii(part)) if own is None else _at_pixels(part, own, 0)
        np.maximum(view, part.weight * values, out=view)
    return result


def possibly_changed(frame: Frame) -> Mask:
    """Return which pixels of a finished frame may differ because faces were pasted: (H, W).

    All other pixels are bit-identical. If a chroma sample may differ, all pixels that share it
    may differ too.
    """
    result = np.zeros((frame.height, frame.width), np.bool_)
    for part in frame.changed:
        x0, y0, x1, y1 = part.box
        beyond = _reach(frame, part.crop_from_frame, part.size) * _stretch(part.crop_from_frame)
        if part.shares is None:
            inside = _radii(part) <= 1 + beyond / min(_RADII)
        else:
            reach = int(np.ceil(beyond * _cells_from_crop(len(part.shares))[0]))
            support = np.pad((part.shares > 0).astype(np.float32), reach)
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
            grown = np.asarray(cv2.dilate(support, disc), np.float32)
            inside = _at_pixels(part, grown, reach) > 0
        result[y0:y1, x0:x1] |= inside
    return result


def _at_pixels(part: Patch, cells: FloatPicture, rim: int) -> FloatPicture:
    """Return the values of a head's mask at the pixels of a patch's box.

    Args:
        part: The patch.
        cells: The mask, with `rim` more cells on each side.
        rim: Number of cells that were added on each side.
    """
    x0, y0, x1, y1 = part.box
    crop_from_box = compose(part.crop_from_frame, [[1.0, 0.0, x0], [0.0, 1.0, y0]])
    scale, (left, above) = _cells_from_crop(len(cells) - 2 * rim)
    cells_from_crop = [[scale, 0.0, left + rim - 0.5], [0.0, scale, above + rim - 0.5]]
    cells_from_box = compose(cells_from_crop, crop_from_box)
    if x0 == x1 or y0 == y1:
        return np.zeros((y1 - y0, x1 - x0), np.float32)
    values: FloatPicture = cv2.warpAffine(
        cells, cells_from_box, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return values


def _radii(part: Patch) -> NDArray[np.float64]:
    x0, y0, x1, y1 = part.box
    x, y = np.arange(x0, x1), np.arange(y0, y1)[:, None]
    m = part.crop_from_frame
    u = (m[0, 0] * x + m[0, 1] * y + m[0, 2] - _CENTRE[0]) / _RADII[0]
    v = (m[1, 0] * x + m[1, 1] * y + m[1, 2] - _CENTRE[1]) / _RADII[1]
    radii: NDArray[np.float64] = np.hypot(u, v)
    return radii
