"""Look at a frame through a transform, in its own planes and bit depth.

The planes are resampled first and turned to RGB afterwards, so only the pixels of a face are ever
converted.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.colour import to_rgb
from crsr_video.geometry import Matrix, chroma_matrix, compose, invert, resize_matrix
from crsr_video.types import Frame, PixelLayout
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


def preview(frame: Frame, longest: int, *, every: int = 1) -> tuple[NDArray[np.uint8], Matrix]:
    """A small upright picture with square pixels of the whole frame.

    Args:    longest: its longer side in pixels; a smaller frame is not enlarged.
             every: look at one of so many rows only.
    Returns: uint8 (H, W, 3) RGB, and frame_from_preview (2x3).
    """
    aspect = float(frame.sample_aspect)
    scale = min(1.0, longest / max(frame.width * aspect, frame.height))
    width = max(1, round(frame.width * aspect * scale))
    height = max(1, round(frame.height * scale))
    # A box average of whole planes: cheap, and exact enough to find faces in.
    planes = [
        cv2.resize(plane[::every], (width, height), interpolation=cv2.INTER_AREA)
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


def enlarged_size(frame: Frame, component: int, scale: int) -> tuple[int, int]:
    """Height and width of a plane of the enlarged frame, chroma rounded up as FFmpeg does."""
    height, width = frame.height * scale, frame.width * scale
    if component == 0 or frame.layout.family != "yuv":
        return height, width
    return -(-height >> frame.layout.y_shift), -(-width >> frame.layout.x_shift)
