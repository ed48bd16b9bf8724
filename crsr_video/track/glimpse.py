"""A small picture of a part of a frame, made as cheaply as a detector's eye allows."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import rgb_from_codes
from crsr_video.imaging.geometry import Matrix, bounds, compose, invert, resize_matrix
from crsr_video.imaging.resampling import plane_from_frame
from crsr_video.track.view import Region, view_of
from crsr_video.types import Frame, Plane

FloatPicture = NDArray[np.float32]

_MARGIN = 2
"""Pixels that are read beyond what is seen, for interpolation."""


def glimpse(frame: Frame, region: Region, side: int, *, fine: bool = False) -> FloatPicture:
    """What a square region shows: float32 (side, side, 3) RGB in [-1, 1].

    Averaged over areas while shrinking, at the planes' own depth: half the time of `view.picture`
    and less. Landmarks on it are as exact, to what can be measured.
    Args: fine: interpolate by cubic rather than linear where it enlarges, and show the frame's rim
          beyond the frame rather than black.
    """
    layout = frame.layout
    matrix = compose(region.picture_from_upright(side), view_of(frame).upright_from_frame)
    rgb_matrix, black = rgb_from_codes(layout)
    codes: list[FloatPicture] = []
    for grid in layout.grids:
        part = _part(
            frame.components[grid[0]].shape, matrix, plane_from_frame(layout, grid[0]), side
        )
        for i in grid:
            rim = None if fine else float(black[i])
            codes.append(part.seen(frame.components[i], side, rim, cubic=fine and i == 0))
    # From [0, 1] to [-1, 1] in the same step.
    linear = np.hstack([2 * rgb_matrix, -2 * rgb_matrix @ black[:, None] - 1])
    picture = cv2.transform(cv2.merge(codes), linear)
    shown: FloatPicture = np.clip(picture, -1, 1, out=picture)
    return shown


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a plane is seen."""

    rows: slice
    columns: slice
    shrunk: tuple[int, int] | None
    """Width and height to which it is averaged first."""
    picture_from_part: Matrix
    """After that."""

    def seen(self, plane: Plane, side: int, rim: float | None, *, cubic: bool) -> FloatPicture:
        """The picture of one plane; rim: beyond it, None: as at its edge."""
        part = plane[self.rows, self.columns]
        if self.shrunk is not None:
            part = cv2.resize(part, self.shrunk, interpolation=cv2.INTER_AREA)
        # One channel of floats at a time: OpenCV's fastest.
        seen: FloatPicture = cv2.warpAffine(
            part.astype(np.float32),
            self.picture_from_part,
            (side, side),
            flags=cv2.INTER_CUBIC if cubic and self.shrunk is None else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE if rim is None else cv2.BORDER_CONSTANT,
            borderValue=rim or 0.0,
        )
        return seen


def _part(
    shape: tuple[int, ...], picture_from_frame: Matrix, plane_from_frame: Matrix, side: int
) -> _Part:
    """For planes of one shape."""
    picture_from_plane = compose(picture_from_frame, invert(plane_from_frame))
    x0, y0, x1, y1 = bounds(invert(picture_from_plane), side)
    height, width = shape
    left, right = _reach(x0, x1, width)
    top, bottom = _reach(y0, y1, height)
    moved = compose(picture_from_plane, [[1.0, 0.0, left], [0.0, 1.0, top]])
    fx, fy = np.maximum(1, 1 / np.hypot(*moved[:, :2])).astype(int).tolist()
    if max(fx, fy) == 1:
        return _Part(slice(top, bottom), slice(left, right), None, moved)
    # Whole numbers of pixels make one, which OpenCV does fastest; the rest is interpolated.
    columns, rows = max(1, (right - left) // fx), max(1, (bottom - top) // fy)
    return _Part(
        slice(top, top + rows * fy),
        slice(left, left + columns * fx),
        (columns, rows),
        compose(moved, invert(resize_matrix(1 / fx, 1 / fy))),
    )


def _reach(low: float, high: float, length: int) -> tuple[int, int]:
    """First and last (half-open) of a plane's samples between two places, one at least."""
    first = min(max(math.floor(low) - _MARGIN, 0), length - 1)
    return first, min(max(math.ceil(high) + _MARGIN + 1, first + 1), length)
