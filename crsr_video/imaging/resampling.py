"""Resample parts of a frame from its native planes, at its native bit depth.

The planes are resampled first and converted to RGB afterwards, so only the pixels of a face need to
be converted.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import luma_of, rgb_from_codes, to_rgb
from crsr_video.imaging.geometry import Matrix, chroma_matrix, compose, invert
from crsr_video.imaging.warping import warp
from crsr_video.types import FloatPicture, Frame, PixelLayout, Plane

Picture = NDArray[np.uint8]


def plane_from_frame(layout: PixelLayout, component: int) -> Matrix:
    """Return the 2x3 matrix from frame coordinates to coordinates in the plane of a component."""
    if component == 0 or layout.family != "yuv":
        return np.eye(2, 3)
    return chroma_matrix(layout.x_shift, layout.y_shift, layout.x_cosited, layout.y_cosited)


def sample(frame: Frame, target_from_frame: Matrix, width: int, height: int) -> FloatPicture:
    """Resample a frame under a transform, and convert the result to RGB.

    Args:
        frame: The frame.
        target_from_frame: 2x3 matrix from frame pixels to target pixels.
        width: Width of the target in pixels.
        height: Height of the target in pixels.

    Returns:
        RGB picture, float32 (height, width, 3), nominally in [0, 1] but not clipped.

    Raises:
        DegenerateFaceError: The transform is singular.
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


def preview(frame: Frame, longest: int, *, every: int = 1) -> FloatPicture:
    """Return the luma of the whole frame as a small upright picture with square pixels.

    Args:
        frame: The frame.
        longest: Length of the longer side in pixels. A smaller frame is not enlarged.
        every: Read only every n-th row, where n is this number.

    Returns:
        float32 (H, W) in [0, 1].
    """
    size = _preview_size(frame, longest)
    # Box averaging of whole planes is cheap, and exact enough for comparing pictures.
    planes = [
        cv2.resize(plane[::every], size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for plane in frame.components[: 3 if frame.layout.family == "rgb" else 1]
    ]
    luma = luma_of(planes, frame.layout)
    return np.ascontiguousarray(np.rot90(luma, frame.rotation // 90 % 4))


def _preview_size(frame: Frame, longest: int) -> tuple[int, int]:
    aspect = float(frame.sample_aspect)
    scale = min(1.0, longest / max(frame.width * aspect, frame.height))
    return max(1, round(frame.width * aspect * scale)), max(1, round(frame.height * scale))


def enlarged_size(frame: Frame, component: int, scale: int) -> tuple[int, int]:
    """Return the height and width of a plane of the enlarged frame.

    The size of chroma planes is rounded up, as in FFmpeg.
    """
    height, width = frame.height * scale, frame.width * scale
    if component == 0 or frame.layout.family != "yuv":
        return height, width
    return -(-height >> frame.layout.y_shift), -(-width >> frame.layout.x_shift)


def upright_picture(frame: Frame, width: int) -> Picture:
    """Return a frame as an upright BGR picture with square pixels.

    Planes are resized in 8 bits before colours are converted, which is fast and exact enough for
    viewing.

    Args:
        frame: Any frame.
        width: Largest width of the upright picture; smaller frames keep their size.

    Returns:
        uint8 (H, W, 3) BGR.
    """
    size = _square_pixel_size(frame, width)
    planes = [_resized(plane, size, frame.layout.bits) for plane in frame.components]
    matrix, offset = rgb_from_codes(frame.layout)
    unit = np.float32(2.0 ** (frame.layout.bits - 8))
    to_bgr = (255 * unit * matrix)[::-1]
    shift = -to_bgr @ (offset / unit)
    codes = planes[0] if len(planes) == 1 else cv2.merge(planes)
    picture: Picture = cv2.transform(codes, np.hstack([to_bgr, shift[:, None]]))
    return np.ascontiguousarray(np.rot90(picture, frame.rotation // 90))


def _square_pixel_size(frame: Frame, width: int) -> tuple[int, int]:
    """Return width and height with square pixels, before the picture is turned upright."""
    aspect = float(frame.sample_aspect)
    wide, high = frame.width * max(aspect, 1.0), frame.height / min(aspect, 1.0)
    share = min(1.0, width / (high if frame.rotation % 180 else wide))
    return max(1, round(wide * share)), max(1, round(high * share))


def _resized(plane: Plane, size: tuple[int, int], bits: int) -> Picture:
    # Averaging over areas takes four times as long, and is visibly better only for small pictures.
    method = cv2.INTER_AREA if 2 * size[0] <= plane.shape[1] else cv2.INTER_LINEAR
    same = size == (plane.shape[1], plane.shape[0])
    resized = plane if same else cv2.resize(plane, size, interpolation=method)
    picture: Picture = cv2.convertScaleAbs(resized, alpha=2.0 ** min(0, 8 - bits))
    return picture
