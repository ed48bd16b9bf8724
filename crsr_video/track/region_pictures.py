"""Small pictures of parts of a frame: exact ones, and cheap ones for the face models."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from crsr_video.imaging.colour import rgb_from_codes
from crsr_video.imaging.geometry import Matrix, bounds, compose, invert, resize_matrix
from crsr_video.imaging.resampling import plane_from_frame, sample
from crsr_video.track.regions import Region, view_of
from crsr_video.types import FloatPicture, Frame, Plane

_MARGIN_PX = 2
"""Pixels that are read beyond the region, for interpolation."""


def picture(frame: Frame, region: Region, longest: int) -> FloatPicture:
    """Return the exact picture of a region.

    Args:
        frame: The frame.
        region: The part of the frame.
        longest: Longer side of the picture in pixels.

    Returns:
        float32 (height, width, 3), RGB, clipped to [0, 1].
    """
    matrix = compose(region.picture_from_upright(longest), view_of(frame).upright_from_frame)
    pixels: FloatPicture = sample(frame, matrix, *region.picture_size(longest))
    return pixels.clip(0, 1)


def model_input(
    frame: Frame, region: Region, side: int, *, for_landmarks: bool = False
) -> FloatPicture:
    """Return the picture of a square region as a face model takes it, see `square_picture`."""
    matrix = compose(region.picture_from_upright(side), view_of(frame).upright_from_frame)
    return square_picture(frame, matrix, side, for_landmarks=for_landmarks)


def square_picture(
    frame: Frame, matrix: Matrix, side: int, *, for_landmarks: bool = False
) -> FloatPicture:
    """Return a square picture of a part of a frame as a model takes it.

    A picture is shrunk by averaging areas at the planes' own bit depth, which takes at most half
    the time of `picture`. No difference in the accuracy of landmarks was measured.

    Args:
        frame: The frame.
        matrix: 2x3 matrix from frame pixels to pixels of the picture.
        side: Side of the picture in pixels.
        for_landmarks: Enlarge the first component by cubic instead of linear interpolation, and
            repeat the edge of the frame outside it instead of showing black.

    Returns:
        float32 (side, side, 3), RGB in [-1, 1].
    """
    layout = frame.layout
    rgb_matrix, black = rgb_from_codes(layout)
    codes: list[FloatPicture] = []
    for grid in layout.grids:
        plane_matrix = plane_from_frame(layout, grid[0])
        part = _part_of_plane(frame.components[grid[0]].shape, matrix, plane_matrix, side)
        for i in grid:
            outside = None if for_landmarks else float(black[i])
            is_cubic = for_landmarks and i == 0
            codes.append(part.resampled(frame.components[i], side, outside, cubic=is_cubic))
    # The conversion to RGB also scales from [0, 1] to [-1, 1].
    linear = np.hstack([2 * rgb_matrix, -2 * rgb_matrix @ black[:, None] - 1])
    rgb = cv2.transform(cv2.merge(codes), linear)
    pixels: FloatPicture = np.clip(rgb, -1, 1, out=rgb)
    return pixels


@dataclass(frozen=True, slots=True)
class _PartOfPlane:
    """The samples of a plane that a picture needs."""

    rows: slice
    columns: slice
    shrunk: tuple[int, int] | None
    """Width and height to which the samples are first averaged, or None for no averaging."""
    picture_from_part: Matrix
    """2x3 matrix from the samples, after averaging, to the pixels of the picture."""

    def resampled(
        self, plane: Plane, side: int, outside: float | None, *, cubic: bool
    ) -> FloatPicture:
        """Return one channel of the picture. Outside the plane, None repeats the edge."""
        part = plane[self.rows, self.columns]
        if self.shrunk is not None:
            part = cv2.resize(part, self.shrunk, interpolation=cv2.INTER_AREA)
        # OpenCV is fastest with one channel of floats at a time.
        channel: FloatPicture = cv2.warpAffine(
            part.astype(np.float32),
            self.picture_from_part,
            (side, side),
            flags=cv2.INTER_CUBIC if cubic and self.shrunk is None else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT,
            borderValue=outside or 0.0,
        )
        return channel


def _part_of_plane(
    shape: tuple[int, ...], picture_from_frame: Matrix, plane_from_frame: Matrix, side: int
) -> _PartOfPlane:
    picture_from_plane = compose(picture_from_frame, invert(plane_from_frame))
    x0, y0, x1, y1 = bounds(invert(picture_from_plane), side)
    height, width = shape
    left, right = _span(x0, x1, width)
    top, bottom = _span(y0, y1, height)
    moved = compose(picture_from_plane, [[1.0, 0.0, left], [0.0, 1.0, top]])
    fx, fy = np.maximum(1, 1 / np.hypot(*moved[:, :2])).astype(int).tolist()
    if max(fx, fy) == 1:
        return _PartOfPlane(slice(top, bottom), slice(left, right), None, moved)
    # OpenCV averages whole numbers of pixels fastest; the rest is interpolated.
    columns, rows = max(1, (right - left) // fx), max(1, (bottom - top) // fy)
    return _PartOfPlane(
        slice(top, top + rows * fy),
        slice(left, left + columns * fx),
        (columns, rows),
        compose(moved, invert(resize_matrix(1 / fx, 1 / fy))),
    )


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    """Return the half-open range of samples between two positions, at least one sample."""
    first = min(max(math.floor(low) - _MARGIN_PX, 0), length - 1)
    return first, min(max(math.ceil(high) + _MARGIN_PX + 1, first + 1), length)
