"""Regions of a frame in upright coordinates, and the tiles in which faces are searched for.

All positions inside this package are in *upright coordinates*: the frame's own pixels, stretched in
x by the sample aspect ratio and then rotated as a player would rotate them. So "left" is left and a
circle is a circle. Only the last step of the tracker converts back to frame pixels.

Detectors shrink their input, so a small face is found only in a tile of the frame in which it is
large enough. This was measured on real faces pasted into real scenes at known sizes. The
full-range model finds 96 of 100 faces that are a tenth of a tile wide, at least 90 of 100 that are
an eleventh to an eighth wide, and nearly all larger faces up to half of the tile. The short-range
model finds faces only from an eighth of the tile on, but at any tilt. Only the size relative to the
tile matters: enlarging 16-pixel faces does not make either model worse.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import (
    Matrix,
    apply,
    compose,
    invert,
    nose_offset,
    resize_matrix,
)
from crsr_video.types import Face, Frame

_USEFUL_WIDTH = 160.0
"""Width of a face in pixels above which a larger face does not give a better picture."""

TILE_PER_FACE = 12.5
"""Side of the smallest tiles divided by the width of the smallest face to be found."""
_TILE_OVERLAP = 0.25
_OCTAVE_SLACK = 0.3
"""Octaves by which the range of tile sizes may exceed whole factors of two before another size of
tiles is added."""


@dataclass(frozen=True, slots=True)
class UprightView:
    """Size of the upright picture of frames of one shape, and the matrices to and from it."""

    width: float
    """Width of the upright picture in its square pixels."""
    height: float
    upright_from_frame: Matrix
    """2x3 matrix from frame pixels to upright coordinates."""
    frame_from_upright: Matrix
    """2x3 matrix from upright coordinates to frame pixels."""

    @property
    def whole(self) -> "Region":
        """The region of the whole frame."""
        return Region((self.width - 1) / 2, (self.height - 1) / 2, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Region:
    """A rotated rectangle in upright coordinates."""

    x: float
    """Horizontal position of the centre."""
    y: float
    """Vertical position of the centre."""
    width: float
    """Width in upright pixels."""
    height: float
    """Height in upright pixels."""
    angle: float = 0.0
    """Angle of the upper edge in radians, from +x towards +y."""

    @property
    def side(self) -> float:
        """The longer side."""
        return max(self.width, self.height)

    @property
    def centre(self) -> NDArray[np.float64]:
        """The centre, (x, y)."""
        return np.array([self.x, self.y])

    @property
    def box(self) -> NDArray[np.float64]:
        """The rectangle without its rotation: x0, y0, x1, y1."""
        x, y = self.width / 2, self.height / 2
        return np.array([self.x - x, self.y - y, self.x + x, self.y + y])

    def moved(self, dx: float, dy: float) -> "Region":
        """Return a region of the same shape elsewhere."""
        return Region(self.x + dx, self.y + dy, self.width, self.height, self.angle)

    def picture_size(self, longest: int) -> tuple[int, int]:
        """Return the width and height of the region's picture, whose longer side is `longest`."""
        scale = longest / self.side
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    def picture_from_upright(self, longest: int) -> Matrix:
        """Return the 2x3 matrix from upright coordinates to pixels of the region's picture."""
        width, height = self.picture_size(longest)
        c, s = np.cos(self.angle), np.sin(self.angle)
        turned = np.array([[c, s, -c * self.x - s * self.y], [-s, c, s * self.x - c * self.y]])
        # The region's centre is in the middle of the picture, between two if its size is even.
        fx, fy = width / self.width, height / self.height
        return compose([[fx, 0, (width - 1) / 2], [0, fy, (height - 1) / 2]], turned)


def square(x: float, y: float, side: float, angle: float = 0.0) -> Region:
    """Return a square region."""
    return Region(x, y, side, side, angle)


def upside_down(region: Region) -> Region:
    """Return the same region, rotated by 180 degrees."""
    return replace(region, angle=region.angle + np.pi)


def view_of(frame: Frame) -> UprightView:
    """Return the view of frames of this size, sample aspect ratio and rotation."""
    return _view(frame.width, frame.height, float(frame.sample_aspect), frame.rotation // 90 % 4)


@lru_cache(maxsize=16)
def _view(frame_width: int, frame_height: int, aspect: float, turns: int) -> UprightView:
    matrix = resize_matrix(aspect, 1.0)
    width, height = frame_width * aspect, float(frame_height)
    for _ in range(turns):
        # A quarter turn counter-clockwise brings the right edge to the top.
        matrix = compose(np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width - 1.0]]), matrix)
        width, height = height, width
    return UprightView(width, height, matrix, invert(matrix))


def tile_levels(view: UprightView, min_face: float) -> list[list[Region]]:
    """Return the tiles that cover a frame, for each tile size, largest first.

    Args:
        view: The view of the frame.
        min_face: Width in pixels of the smallest face to be found.

    Returns:
        A list of tiles, row by row, for each size. Empty if the whole frame is small enough.
    """
    longest, finest = max(view.width, view.height), TILE_PER_FACE * min_face
    octaves = max(0, int(np.ceil(np.log2(longest / finest) - _OCTAVE_SLACK)))
    return [tiles(view, float(side)) for side in np.geomspace(longest, finest, octaves + 1)[1:]]


def tiles(view: UprightView, side: float) -> list[Region]:
    """Return overlapping squares of one size that cover the frame, row by row."""
    xs, ys = _tile_centres(view.width, side), _tile_centres(view.height, side)
    return [square(x, y, side) for y in ys for x in xs]


def _tile_centres(length: float, side: float) -> list[float]:
    if length <= side:
        return [length / 2 - 0.5]
    count = max(1, int(np.ceil((length / side - _TILE_OVERLAP) / (1 - _TILE_OVERLAP) - 1e-6)))
    return [float(c) for c in np.linspace(side / 2, length - side / 2, count) - 0.5]


def face_region(frame: Frame, face: Face, face_widths: float) -> Region:
    """Return the upright square around a face, moved so that it lies inside the frame.

    Args:
        frame: Frame that shows the face.
        face: The face.
        face_widths: Side of the square, in face widths. It is limited to the sides of the frame.
    """
    view = view_of(frame)
    corners = apply(view.upright_from_frame, np.reshape(face.box, (2, 2)))
    width, height = np.abs(corners[1] - corners[0])
    side = min(max(2.0, face_widths * float(min(width, height))), view.width, view.height)
    x, y = (
        float(np.clip(centre, side / 2 - 0.5, length - side / 2 - 0.5))
        for centre, length in zip(corners.mean(0), (view.width, view.height), strict=True)
    )
    return square(x, y, side)


def enlarged_region(region: Region, factor: float) -> Region:
    """Return the region that covers the same part of a frame enlarged by a factor."""
    # The top left corners of both frames are at (-0.5, -0.5).
    x, y = ((value + 0.5) * factor - 0.5 for value in (region.x, region.y))
    return Region(x, y, region.width * factor, region.height * factor, region.angle)


def portrait_score(frame: Frame, face: Face) -> float:
    """Return a score that is high for large, frontal, upright, unclipped and certain faces."""
    points = apply(view_of(frame).upright_from_frame, face.landmarks)
    eyes = points[1] - points[0]
    eye_distance = float(np.hypot(*eyes))
    if eye_distance < 1e-6:
        return 0.0
    frontal = 1 / (1 + (3 * nose_offset(points)) ** 2)
    upright = 0.75 + 0.25 * float(eyes[0]) / eye_distance
    certainty = 0.1 + 0.9 * face.confidence * face.presence
    x0, y0, x1, y1 = face.box
    inside = _share_inside(x0, x1, frame.width) * _share_inside(y0, y1, frame.height)
    width = min(face_region(frame, face, 1.0).side, _USEFUL_WIDTH)
    return width * frontal * upright * certainty * inside


def _share_inside(low: float, high: float, length: int) -> float:
    return max(min(high, length - 0.5) - max(low, -0.5), 0.0) / max(high - low, 1e-6)
