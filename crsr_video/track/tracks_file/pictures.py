"""A tiny picture of every frame, by which a frame is known again where nothing else tells which.

An editor hands its effects a picture, and a time that means something else in every editor.
"""

import base64
import binascii
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TracksError
from crsr_video.imaging.colour import to_rgb
from crsr_video.types import Frame

ROWS, COLUMNS = 12, 16
_FINER = 8
"""To a cell's side: areas are averaged to so many 8-bit values first, whose rounding cancels."""
_STEPS = 16
"""To a level of 255."""
_LUMA = np.array([0.299, 0.587, 0.114])
_CELLS = ROWS * COLUMNS
MOST_FRAMES = 2_000_000
"""That can be known again: 22 hours at 25 frames a second."""

Tiny = NDArray[np.float32]


def tiny(frame: Frame) -> Tiny:
    """A frame's luma in levels of 255, upright, as a player shows it: float32 (ROWS, COLUMNS)."""
    turns = frame.rotation // 90 % 4
    rows, columns = (COLUMNS, ROWS) if turns % 2 else (ROWS, COLUMNS)
    fine = (columns * _FINER, rows * _FINER)
    planes = [cv2.resize(p, fine, interpolation=cv2.INTER_AREA) for p in frame.components]
    means = [
        plane.reshape(rows, _FINER, columns, _FINER).astype(np.float32).mean((1, 3))
        for plane in planes
    ]
    rgb = to_rgb(np.stack(means, -1), frame.layout)
    luma: Tiny = np.rot90((rgb @ _LUMA).clip(0, 1) * 255, turns).astype(np.float32)
    return luma


class Packer:
    """Tiny pictures, packed as they come."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(9)
        self._packed = bytearray()
        self._before = np.zeros(_CELLS, np.uint16)

    def add(self, picture: Tiny) -> None:
        """Take the next frame's."""
        now = np.rint(picture.ravel() * _STEPS).astype(np.uint16)
        # Differences, modulo 65536: most are small, and pack well.
        self._packed += self._packer.compress((now - self._before).astype("<u2").tobytes())
        self._before = now

    def text(self) -> str:
        """All so far, as it stands in a tracks file."""
        rest = self._packer.copy().flush()
        return base64.b64encode(bytes(self._packed) + rest).decode()


def unpack(text: str, frames: int) -> Tiny:
    """Tiny pictures of all frames, float32 (frames, ROWS * COLUMNS) in levels of 255.

    Raises: TracksError: the text does not hold so many.
    """
    if frames > MOST_FRAMES:
        raise TracksError(f"pictures: {frames} frames are too many to be known again")
    size = frames * _CELLS * 2
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise TracksError("pictures: expected base64 of a zlib stream") from error
    if len(data) != size or not unpacker.eof or unpacker.unused_data:
        raise TracksError(f"pictures: expected {frames} of {COLUMNS}x{ROWS}, as many as times")
    steps = np.frombuffer(data, "<u2").reshape(frames, _CELLS)
    whole: Tiny = np.cumsum(steps, 0, dtype=np.uint16).astype(np.float32) / np.float32(_STEPS)
    return whole
