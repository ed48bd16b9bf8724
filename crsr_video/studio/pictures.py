"""Frames as JPEG pictures for the page, and the packets that carry a frame before and after."""

import json
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import rgb_from_codes
from crsr_video.types import Face, Frame, Plane

JPEG_QUALITY = 88
Picture = NDArray[np.uint8]


def picture_of(frame: Frame, width: int) -> Picture:
    """Return a frame as an upright BGR picture with square pixels.

    Planes are resized before colours are converted, in 8 bits: fast, and exact enough to look at.

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


def jpeg_of(frame: Frame, width: int) -> bytes:
    """Return a frame as an upright JPEG, at most `width` pixels wide."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode(".jpg", picture_of(frame, width), options)[1].tobytes()


def packet_of(header: dict[str, Any], before: bytes, after: bytes) -> bytes:
    """Return one message for the page.

    A packet is the length of its header (u32, little-endian), the header as JSON, the JPEG before
    and the JPEG after. The header has the lengths of both under "before" and "after".
    """
    text = json.dumps({**header, "before": len(before), "after": len(after)}).encode()
    return struct.pack("<I", len(text)) + text + before + after


def face_facts(face: Face, frame: Frame, person_of: dict[int, int]) -> dict[str, Any]:
    """Return what the page draws of a face: its box as shares of the upright picture.

    Args:
        face: A face of the frame.
        frame: The frame before enhancement.
        person_of: Number of the person by track ID; empty before people were found.
    """
    x0, y0, x1, y1 = face.box
    left, right = (x0 + 0.5) / frame.width, (x1 + 0.5) / frame.width
    top, bottom = (y0 + 0.5) / frame.height, (y1 + 0.5) / frame.height
    for _ in range(frame.rotation // 90 % 4):  # A quarter turn counter-clockwise, as numpy.rot90.
        left, top, right, bottom = top, 1 - right, bottom, 1 - left
    return {
        "box": [round(value, 4) for value in (left, top, right, bottom)],
        "person": person_of.get(face.track),
        "enhanced": face.enhanced is not None or (face.skipped is None and face.strength > 0),
        "reason": face.skipped,
    }


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
