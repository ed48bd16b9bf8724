"""Frames as JPEG pictures for the page, and the packets that carry a frame before and after."""

import json
import struct
from typing import Any

import cv2

from crsr_video.inspection.upright_pictures import picture_of
from crsr_video.types import Face, Frame

JPEG_QUALITY = 88


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
