"""A small picture of a part of a frame, made as cheaply as a detector's eye allows."""

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.colour import rgb_from_codes
from crsr_video.geometry import Matrix, apply, compose, invert, resize_matrix
from crsr_video.sampling import plane_from_frame
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
    matrix = compose(region.picture_from_upright(side), view_of(frame).upright_from_frame)
    rgb_matrix, black = rgb_from_codes(frame.layout)
    codes = [
        _seen(
            plane,
            compose(matrix, invert(plane_from_frame(frame.layout, i))),
            side,
            None if fine else float(black[i]),
        )
        for i, plane in enumerate(frame.components)
    ]
    # From [0, 1] to [-1, 1] in the same step.
    linear = np.hstack([2 * rgb_matrix, -2 * rgb_matrix @ black[:, None] - 1])
    picture = cv2.transform(np.dstack(codes).astype(np.float32), linear)
    shown: FloatPicture = np.clip(picture, -1, 1, out=picture)
    return shown


def _seen(plane: Plane, picture_from_plane: Matrix, side: int, black: float | None) -> Plane:
    """What the picture shows of one plane; black: None for a fine one."""
    edge = np.array(
        [[-0.5, -0.5], [side - 0.5, -0.5], [-0.5, side - 0.5], [side - 0.5, side - 0.5]]
    )
    corners = apply(invert(picture_from_plane), edge)
    size = np.array(plane.shape[::-1])
    low = np.clip(np.floor(corners.min(0)).astype(int) - _MARGIN, 0, size - 1)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + _MARGIN + 1, low + 1, size)
    part = plane[low[1] : high[1], low[0] : high[0]]
    moved = compose(picture_from_plane, np.array([[1.0, 0, low[0]], [0, 1.0, low[1]]]))
    fx, fy = np.maximum(1, 1 / np.hypot(*moved[:, :2])).astype(int)
    if max(fx, fy) > 1:
        # Whole numbers of pixels make one, which OpenCV does fastest; the rest is interpolated.
        height, width = part.shape[0] // fy, part.shape[1] // fx
        part = part[: max(1, height) * fy, : max(1, width) * fx]
        shrunk = (max(1, width), max(1, height))
        part = cv2.resize(part, shrunk, interpolation=cv2.INTER_AREA)
        moved = compose(moved, invert(resize_matrix(1 / fx, 1 / fy)))
    seen: Plane = cv2.warpAffine(
        part,
        moved,
        (side, side),
        flags=cv2.INTER_CUBIC if black is None and max(fx, fy) == 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if black is None else cv2.BORDER_CONSTANT,
        borderValue=black or 0.0,
    )
    return seen
