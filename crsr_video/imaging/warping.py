"""Resample pictures under a transform, antialiased when they shrink.

One picture here is one or more channels, (H, W) or (H, W, C), any float or unsigned integer type.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Matrix, bounds, compose, invert, resize_matrix, scale_of

Picture = NDArray[Any]
FloatPicture = NDArray[np.float32]

# Each side of OpenCV's cubic kernel reaches two pixels; one more absorbs rounding.
_KERNEL_MARGIN = 3


def antialias_kernel(scale: float) -> FloatPicture:
    """Low-pass filter that band-limits a picture before it shrinks by `scale` < 1.

    Keys' cubic kernel with a = -1/2 (1981), stretched to the target's pixels: flat over most of
    the band that stays, and nearly nothing of what would alias comes through. Training shrinks
    with the same kernel, so crops look as the networks expect them.
    Returns: (K,) with K odd and the sum 1, for rows and columns alike.
    """
    reach = int(np.ceil(2 / scale)) - 1
    d = np.abs(np.arange(-reach, reach + 1)) * scale
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    kernel = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    normal: FloatPicture = (kernel / kernel.sum()).astype(np.float32)
    return normal


def warp(picture: Picture, target_from_source: Matrix, width: int, height: int) -> FloatPicture:
    """Resample `picture` into a new grid, cubic, borders replicated.

    Only the region of the source that is seen is read, so the cost follows the target's size and
    the shrinking factor, never the size of the frame.

    Args:    picture: (H, W) or (H, W, C).
             target_from_source: 2x3, pixel centres at integers.
    Returns: float32 (height, width) or (height, width, C), same value range (cubic overshoots).
    Raises:  DegenerateFaceError: the transform is singular.
    """
    source_from_target = invert(target_from_source)
    scale = scale_of(target_from_source)
    margin = _KERNEL_MARGIN + int(np.ceil(2 / min(scale, 1.0)))
    x, y, region = _region(picture, source_from_target, width, height, margin)
    moved = compose(target_from_source, np.array([[1.0, 0.0, x], [0.0, 1.0, y]]))
    if scale < 0.5:
        # Far shrinking: an exact box average first keeps the kernel small and the cost low.
        fraction = 1 / int(1 / scale)
        size = [max(1, round(side * fraction)) for side in region.shape[:2]]
        fx, fy = size[1] / region.shape[1], size[0] / region.shape[0]
        region = cv2.resize(region, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        moved = compose(moved, invert(resize_matrix(fx, fy)))
    if scale_of(moved) < 1:
        kernel = antialias_kernel(scale_of(moved))
        region = cv2.sepFilter2D(region, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    warped: FloatPicture = cv2.warpAffine(
        region, moved, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def _region(
    picture: Picture, source_from_target: Matrix, width: int, height: int, margin: int
) -> tuple[int, int, FloatPicture]:
    """Cut what the target sees, and `margin` pixels more: left, top and float32 pixels."""
    rows, columns = picture.shape[:2]
    # A non-square target is seen through the square around it: at worst some pixels too many.
    x0, y0, x1, y1 = bounds(source_from_target, max(width, height))
    # At least one pixel stays even if the target lies wholly outside.
    left = int(np.clip(np.floor(x0) - margin, 0, columns - 1))
    top = int(np.clip(np.floor(y0) - margin, 0, rows - 1))
    right = int(np.clip(np.ceil(x1) + margin + 1, left + 1, columns))
    bottom = int(np.clip(np.ceil(y1) + margin + 1, top + 1, rows))
    return left, top, picture[top:bottom, left:right].astype(np.float32, copy=False)
