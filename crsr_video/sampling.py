"""Look at a frame, and change it, through a transform, in its own planes and bit depth.

The planes are resampled first and turned to RGB afterwards (and the other way round for a
change), so only the pixels of a face are ever converted.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.colour import delta_to_codes, to_rgb
from crsr_video.geometry import (
    Matrix,
    bounds,
    chroma_matrix,
    compose,
    invert,
    resize_matrix,
    scale_of,
)
from crsr_video.types import Frame, PixelLayout, Plane
from crsr_video.warp import warp

FloatPicture = NDArray[np.float32]


def plane_from_frame(layout: PixelLayout, component: int) -> Matrix:
    """Coordinates in a component's plane from frame coordinates; 2x3."""
    if component == 0 or layout.family != "yuv":
        return np.eye(2, 3)
    return chroma_matrix(layout.x_shift, layout.y_shift, layout.x_cosited, layout.y_cosited)


def sample(frame: Frame, target_from_frame: Matrix, width: int, height: int) -> FloatPicture:
    """What the frame shows under a transform.

    Args:    target_from_frame: 2x3.
    Returns: float32 (height, width, 3), RGB, nominally [0, 1], not clipped.
    Raises:  DegenerateFaceError: the transform is singular.
    """
    codes = [
        warp(
            plane,
            compose(target_from_frame, invert(plane_from_frame(frame.layout, index))),
            width,
            height,
        )
        for index, plane in enumerate(frame.components)
    ]
    return to_rgb(np.stack(codes, -1), frame.layout)


def preview(frame: Frame, longest: int) -> tuple[NDArray[np.uint8], Matrix]:
    """A small upright picture with square pixels of the whole frame, for detectors.

    Args:    longest: its longer side in pixels; a smaller frame is not enlarged.
    Returns: uint8 (H, W, 3) RGB, and frame_from_preview (2x3).
    """
    aspect = float(frame.sample_aspect)
    scale = min(1.0, longest / max(frame.width * aspect, frame.height))
    width = max(1, round(frame.width * aspect * scale))
    height = max(1, round(frame.height * scale))
    # A box average of whole planes: cheap, and exact enough to find faces in.
    planes = [
        cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
        for plane in frame.components
    ]
    rgb = to_rgb(np.stack(planes, -1).astype(np.float32), frame.layout)
    picture = (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    turns = frame.rotation // 90 % 4
    preview_from_frame = compose(
        _turned(width, height, turns), resize_matrix(width / frame.width, height / frame.height)
    )
    return np.ascontiguousarray(np.rot90(picture, turns)), invert(preview_from_frame)


def _turned(width: int, height: int, turns: int) -> Matrix:
    """Coordinates after `turns` counter-clockwise quarter turns of a picture; 2x3."""
    matrix = np.eye(2, 3)
    for _ in range(turns):
        # A quarter turn brings the right edge to the top: (x, y) -> (y, W - 1 - x).
        matrix = compose(np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width - 1.0]]), matrix)
        width, height = height, width
    return matrix


def add(
    planes: tuple[Plane, ...],
    layout: PixelLayout,
    delta: FloatPicture,
    crop_from_frame: Matrix,
) -> None:
    """Add a change, given in crop space, to planes in place; all else stays bit-identical.

    The change is resampled, rounded once at the planes' own depth and clipped to legal memory.
    Args: planes: writable components of one frame.
          delta: float32 (S, S, 3), RGB, zero towards the edge of the crop.
          crop_from_frame: 2x3.
    """
    codes = delta_to_codes(delta, layout)
    frame_from_crop = invert(crop_from_frame)
    for index, plane in enumerate(planes):
        plane_from_crop = compose(plane_from_frame(layout, index), frame_from_crop)
        _add_to_plane(plane, codes[..., index], plane_from_crop, 2**layout.bits - 1)


def _add_to_plane(plane: Plane, change: FloatPicture, plane_from_crop: Matrix, top: int) -> None:
    # A rim of zeros: borders are replicated, and shrinking averages over the edge of the crop.
    rim = int(np.ceil(4 / min(1.0, scale_of(plane_from_crop))))
    change = np.pad(change, rim)
    plane_from_crop = compose(plane_from_crop, np.array([[1.0, 0.0, -rim], [0.0, 1.0, -rim]]))
    x0, y0, x1, y1 = bounds(plane_from_crop, change.shape[0])
    left, right = max(0, int(np.floor(x0))), min(plane.shape[1], int(np.ceil(x1)) + 1)
    upper, lower = max(0, int(np.floor(y0))), min(plane.shape[0], int(np.ceil(y1)) + 1)
    if left >= right or upper >= lower:
        return
    shifted = compose(np.array([[1.0, 0.0, -left], [0.0, 1.0, -upper]]), plane_from_crop)
    moved = np.rint(warp(change, shifted, right - left, lower - upper)).astype(np.int32)
    region = plane[upper:lower, left:right]
    region[...] = np.clip(region.astype(np.int32) + moved, 0, top)


def enlarged_size(frame: Frame, component: int, scale: int) -> tuple[int, int]:
    """Height and width of a plane of the enlarged frame, chroma rounded up as FFmpeg does."""
    height, width = frame.height * scale, frame.width * scale
    if component == 0 or frame.layout.family != "yuv":
        return height, width
    return -(-height >> frame.layout.y_shift), -(-width >> frame.layout.x_shift)
