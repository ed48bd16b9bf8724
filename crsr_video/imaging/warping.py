"""Resample pictures with an affine transform, with antialiasing if they shrink.

In this module, a picture is an array of shape (H, W) or (H, W, C), of any float or unsigned integer
type.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Matrix, bounds, compose, invert, resize_matrix, scale_of
from crsr_video.types import FloatPicture

Picture = NDArray[Any]

_KERNEL_MARGIN = 3
"""Margin in pixels around the region that is read. OpenCV's cubic kernel reaches two pixels to each
side, and one more pixel absorbs rounding."""


def antialias_kernel(scale: float) -> FloatPicture:
    """Return the low-pass filter that band-limits a picture before it shrinks by `scale` < 1.

    It is the cubic kernel of Keys (1981) with a = -1/2, stretched to the target's pixels. Its
    frequency response is flat over most of the band that is kept, and it removes nearly everything
    that would alias. Training shrinks pictures with the same kernel, so crops look as the networks
    expect.

    Returns:
        Kernel for both rows and columns, (K,), where K is odd. Its sum is 1.
    """
    reach = int(np.ceil(2 / scale)) - 1
    d = np.abs(np.arange(-reach, reach + 1)) * scale
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    kernel = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    normal: FloatPicture = (kernel / kernel.sum()).astype(np.float32)
    return normal


def warp(picture: Picture, target_from_source: Matrix, width: int, height: int) -> FloatPicture:
    """Resample `picture` to a new grid, with cubic interpolation and replicated borders.

    Only the region that the target shows is read. The cost therefore depends on the size of the
    target and on the scale, but not on the size of the picture.

    Args:
        picture: (H, W) or (H, W, C).
        target_from_source: 2x3 matrix, for pixel centres at integers.
        width: Width of the target in pixels.
        height: Height of the target in pixels.

    Returns:
        float32 (height, width) or (height, width, C), in the value range of `picture`. Cubic
        interpolation can overshoot this range.

    Raises:
        DegenerateFaceError: The transform is singular.
    """
    scale = scale_of(target_from_source)
    rows, columns = picture.shape[:2]
    # `seen_region` needs a square target. At worst, this reads more pixels than needed.
    left, top, right, bottom = seen_region((columns, rows), target_from_source, max(width, height))
    region = picture[top:bottom, left:right].astype(np.float32, copy=False)
    moved = compose(target_from_source, np.array([[1.0, 0.0, left], [0.0, 1.0, top]]))
    if scale < 0.5:
        # If the picture shrinks a lot, a box average first keeps the kernel small and the cost low.
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


def seen_region(
    size: tuple[int, int], target_from_source: Matrix, side: int, *, rim: int = 0
) -> tuple[int, int, int, int]:
    """Return the part of a picture that a square target shows, with a margin for the filters.

    Args:
        size: Width and height of the picture.
        target_from_source: 2x3 matrix, for pixel centres at integers.
        side: Side of the target in pixels.
        rim: Width in pixels of a border around the picture that counts as part of it.

    Returns:
        left, top, right, bottom in pixels, half-open. The part has at least one pixel, even if the
        target lies wholly outside the picture.
    """
    seen = bounds(invert(target_from_source), side)
    margin = _KERNEL_MARGIN + int(np.ceil(2 / min(scale_of(target_from_source), 1.0)))
    low = [
        int(np.clip(np.floor(v) - margin, -rim, n + rim - 1))
        for v, n in zip(seen[:2], size, strict=True)
    ]
    high = [
        int(np.clip(np.ceil(v) + margin + 1, first + 1, n + rim))
        for v, first, n in zip(seen[2:], low, size, strict=True)
    ]
    return low[0], low[1], high[0], high[1]


def rim_around(target_from_layers: Matrix) -> int:
    """Return the width in pixels of the border that layers get before they are warped.

    The border repeats the edge pixels. It is needed because shrinking averages across the edge, and
    a mask must be zero beyond its edge.
    """
    return 2 * int(np.ceil(2 / min(1.0, scale_of(target_from_layers))))
