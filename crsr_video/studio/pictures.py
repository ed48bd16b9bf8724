"""Encodes frames as JPEG for the page, and packs each frame before and after enhancement."""

import json
import struct
from dataclasses import replace
from typing import Any

import cv2

from crsr_video.imaging.resampling import Picture, upright_picture
from crsr_video.types import Face, Frame

JPEG_QUALITY = 88
_BLOCK = 16
"""Side in pixels of the blocks that JPEG encodes. Equal blocks decode to equal pixels."""

Area = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


def jpeg_of(frame: Frame, width: int) -> bytes:
    """Return a frame as an upright JPEG, at most `width` pixels wide."""
    return _encoded(upright_picture(frame, width))


def packet_of(header: dict[str, Any], before: Frame, after: Frame, width: int) -> bytes:
    """Return one message for the page: a frame before enhancement, and the area that changed.

    A packet holds the length of its header (u32, little-endian), the header as JSON, a JPEG of the
    frame before enhancement, and a JPEG of the changed area of the enhanced frame. In the header,
    "before" and "after" are the lengths of the two JPEGs in bytes. "size" is the width and height
    of the enhanced picture. "area" is the left, top, width and height of the changed area in pixels
    of that picture. If nothing changed, "after" is 0. If the enhanced picture is larger than the
    original, or was read from a file, the area is the whole picture.

    Args:
        header: Further facts about the frame.
        before: The frame as it was decoded.
        after: The same frame, enhanced.
        width: Largest width of the pictures.
    """
    original = upright_picture(before, width)
    height, shown_width = original.shape[:2]
    size, area, changed = (shown_width, height), (0, 0, 0, 0), b""
    if after.changed and (before.width, before.height) == (after.width, after.height):
        area = _changed_area(after, size)
        changed = _encoded(_part(after, width, area, size))
    elif after.components is not before.components:
        picture = upright_picture(after, width)
        size = picture.shape[1], picture.shape[0]
        area, changed = (0, 0, *size), _encoded(picture)
    data = _encoded(original)
    facts = {"before": len(data), "after": len(changed), "area": area, "size": size}
    text = json.dumps({**header, **facts}).encode()
    return struct.pack("<I", len(text)) + text + data + changed


def face_facts(face: Face, frame: Frame, person_of: dict[int, int]) -> dict[str, Any]:
    """Return the facts about a face that the page shows.

    The box is in fractions of the width and height of the upright picture.

    Args:
        face: A face of the frame.
        frame: The frame before enhancement.
        person_of: Number of the person by track ID; empty before people were found.
    """
    return {
        "box": [round(value, 4) for value in _upright_shares(face.box, frame)],
        "person": person_of.get(face.track),
        "enhanced": face.enhanced is not None or (face.skipped is None and face.strength > 0),
        "reason": face.skipped,
    }


def _encoded(picture: Picture) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _changed_area(frame: Frame, size: tuple[int, int]) -> Area:
    """Return the area, in whole blocks, of an upright picture of `size` that holds all patches."""
    boxes = [_upright_shares(patch.box, frame) for patch in frame.changed]
    (left, top), (right, bottom) = (
        [choose(box[i] for box in boxes) for i in corner]
        for choose, corner in ((min, (0, 1)), (max, (2, 3)))
    )
    width, height = size
    x0, y0 = (max(0, int(low) // _BLOCK - 1) * _BLOCK for low in (left * width, top * height))
    x1, y1 = (
        min(most, (int(high) // _BLOCK + 2) * _BLOCK)
        for high, most in ((right * width, width), (bottom * height, height))
    )
    return x0, y0, max(1, x1 - x0), max(1, y1 - y0)


def _part(frame: Frame, width: int, area: Area, size: tuple[int, int]) -> Picture:
    """Return an area of the upright picture of a frame."""
    x, y, wide, high = area
    if size == (frame.width, frame.height) and frame.rotation == 0:
        layout, planes = frame.layout, []
        for index, plane in enumerate(frame.components):
            right, down = (layout.x_shift, layout.y_shift) if index else (0, 0)
            rows = slice(y >> down, -(-(y + high) >> down))
            columns = slice(x >> right, -(-(x + wide) >> right))
            planes.append(plane[rows, columns])
        return upright_picture(replace(frame, components=tuple(planes)), wide)
    return upright_picture(frame, width)[y : y + high, x : x + wide]


def _upright_shares(
    box: tuple[float, float, float, float], frame: Frame
) -> tuple[float, float, float, float]:
    """Return a box in frame pixels as fractions of the upright picture's width and height."""
    x0, y0, x1, y1 = box
    left, right = (x0 + 0.5) / frame.width, (x1 + 0.5) / frame.width
    top, bottom = (y0 + 0.5) / frame.height, (y1 + 0.5) / frame.height
    for _ in range(frame.rotation // 90 % 4):
        # Each step is a quarter turn counter-clockwise, like that of numpy.rot90.
        left, top, right, bottom = top, 1 - right, bottom, 1 - left
    return left, top, right, bottom
