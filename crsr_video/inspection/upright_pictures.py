"""Frames as upright 8-bit pictures: fast, and exact enough to look at."""

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import rgb_from_codes
from crsr_video.types import Frame, Plane

Picture = NDArray[np.uint8]


def picture_of(frame: Frame, width: int) -> Picture:
    """Return a frame as an upright BGR picture with square pixels.

    Planes are resized in 8 bits before colours are converted, which is fast
    and exact enough for viewing.

    Args:
        frame: Any frame.
        width: Largest width of the upright picture; smaller frames keep their size.

    Returns:
        uint8 (H, W, 3) BGR.
    """
    size = _shown_size(frame, width)
    planes = [_resized(plane, size, frame.layout.bits) for plane in frame.components]
    matrix, offset = rgb_from_codes(frame.layout)
    unit = np.float32(2.0 ** (frame.layout.bits - 8))
    to_bgr = (255 * unit * matrix)[::-1]
    shift = -to_bgr @ (offset / unit)
    codes = planes[0] if len(planes) == 1 else cv2.merge(planes)
    picture: Picture = cv2.transform(codes, np.hstack([to_bgr, shift[:, None]]))
    return np.ascontiguousarray(np.rot90(picture, frame.rotation // 90))


def _shown_size(frame: Frame, width: int) -> tuple[int, int]:
    """Return width and height with square pixels, before the picture is turned upright."""
    aspect = float(frame.sample_aspect)
    wide, high = frame.width * max(aspect, 1.0), frame.height / min(aspect, 1.0)
    share = min(1.0, width / (high if frame.rotation % 180 else wide))
    return max(1, round(wide * share)), max(1, round(high * share))


def _resized(plane: Plane, size: tuple[int, int], bits: int) -> Picture:
    shrinks = size[0] < plane.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    same = size == (plane.shape[1], plane.shape[0])
    resized = plane if same else cv2.resize(plane, size, interpolation=method)
    picture: Picture = cv2.convertScaleAbs(resized, alpha=2.0 ** min(0, 8 - bits))
    return picture
