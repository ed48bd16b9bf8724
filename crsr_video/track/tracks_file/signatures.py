"""Signatures of frames: tiny pictures by which a frame is recognised.

They are needed because the time that an editor passes to its effects with each picture has a
different meaning in every editor.
"""

import base64
import binascii
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TracksError
from crsr_video.imaging.colour import LUMA_WEIGHTS, to_rgb
from crsr_video.types import Frame

ROWS, COLUMNS = 12, 16
_SUBCELLS = 8
"""Samples per side to which each cell is first reduced. Averaging them cancels their rounding."""
_STEPS = 16
"""Number of stored steps for each of the 255 levels of luma."""
_LUMA = np.array(LUMA_WEIGHTS)
_CELLS = ROWS * COLUMNS
MAX_FRAMES = 2_000_000
"""Maximum number of frames with signatures: 22 hours at 25 frames per second."""

Signature = NDArray[np.float32]
"""Luma from 0 to 255, of shape (ROWS, COLUMNS), or (frames, ROWS * COLUMNS) for several frames."""


def signature_of(frame: Frame) -> Signature:
    """Return the luma of a frame in (ROWS, COLUMNS) cells, rotated as a player shows it."""
    turns = frame.rotation // 90 % 4
    rows, columns = (COLUMNS, ROWS) if turns % 2 else (ROWS, COLUMNS)
    fine = (columns * _SUBCELLS, rows * _SUBCELLS)
    planes = [cv2.resize(p, fine, interpolation=cv2.INTER_AREA) for p in frame.components]
    means = [
        plane.reshape(rows, _SUBCELLS, columns, _SUBCELLS).astype(np.float32).mean((1, 3))
        for plane in planes
    ]
    rgb = to_rgb(np.stack(means, -1), frame.layout)
    luma: Signature = np.rot90((rgb @ _LUMA).clip(0, 1) * 255, turns).astype(np.float32)
    return luma


class SignaturePacker:
    """Packs the signatures of successive frames into text."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(9)
        self._packed = bytearray()
        self._before = np.zeros(_CELLS, np.uint16)

    def add(self, signature: Signature) -> None:
        """Add the signature of the next frame."""
        now = np.rint(signature.ravel() * _STEPS).astype(np.uint16)
        # Most differences (modulo 65536) are small, so they compress well.
        self._packed += self._compressor.compress((now - self._before).astype("<u2").tobytes())
        self._before = now

    def text(self) -> str:
        """Return all signatures added so far, as text for a tracks file."""
        rest = self._compressor.copy().flush()
        return base64.b64encode(bytes(self._packed) + rest).decode()


def unpack(text: str, frames: int) -> Signature:
    """Return the signatures of all frames, float32 (frames, ROWS * COLUMNS).

    Raises:
        TracksError: The text does not hold the signatures of exactly this number of frames.
    """
    if frames > MAX_FRAMES:
        raise TracksError(f"pictures: {frames} frames are too many to be recognised")
    size = frames * _CELLS * 2
    try:
        decompressor = zlib.decompressobj()
        data = decompressor.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise TracksError("pictures: expected base64 of a zlib stream") from error
    if len(data) != size or not decompressor.eof or decompressor.unused_data:
        raise TracksError(f"pictures: expected {frames} of {COLUMNS}x{ROWS}, as many as times")
    steps = np.frombuffer(data, "<u2").reshape(frames, _CELLS)
    all_frames: Signature = np.cumsum(steps, 0, dtype=np.uint16).astype(np.float32)
    return all_frames / np.float32(_STEPS)
