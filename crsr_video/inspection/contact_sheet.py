"""Contact sheets: rows of small pictures with captions, in one PNG or JPEG file."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import ConfigError, OutputError
from crsr_video.files import write_file
from crsr_video.inspection.drawing import render_text
from crsr_video.io import pyav

Picture = NDArray[np.uint8]
"""(H, W, 3) in BGR order, as OpenCV stores it."""

SUFFIXES = (".png", ".jpg", ".jpeg")
_JPEG_QUALITY = 95
_GAP = 8
_CAPTION_X_PX = 2
"""Pixels to the left of a caption."""


def check_suffix(path: Path) -> None:
    """Raise ConfigError unless a path has the suffix of a PNG or JPEG file."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: the name of a contact sheet must end in .png, .jpg or .jpeg")


def to_bgr(rgb: NDArray[np.float32]) -> Picture:
    """Convert RGB in [0, 1] to 8-bit BGR."""
    return np.ascontiguousarray((rgb[..., ::-1] * 255 + 0.5).astype(np.uint8))


def caption(text: str, width: int, height: int) -> Picture:
    """Return a line of black text on white, cut off at the given width."""
    words = render_text(text, height)[:, : width - _CAPTION_X_PX]
    strip = np.full((height, width, 3), 255, np.uint8)
    ink = np.rint(255 * (1 - words))[..., None]
    strip[:, _CAPTION_X_PX : _CAPTION_X_PX + words.shape[1]] = ink
    return strip


def arrange(tiles: Sequence[Picture], columns: int) -> Picture:
    """Arrange tiles of equal size in rows on a white sheet."""
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[0] + _GAP, tiles[0].shape[1] + _GAP
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        y, x = index // columns * height + _GAP, index % columns * width + _GAP
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet


def save(sheet: Picture, path: Path) -> None:
    """Write a sheet.

    Raises:
        OutputError: The file cannot be written. No part of it is left.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix.lower() != ".png" else []
    encoded, data = cv2.imencode(path.suffix.lower(), sheet, options)
    if not encoded:
        raise OutputError(f"{path}: the picture is too large for this format")
    try:
        write_file(path, [data.tobytes()])
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {pyav.reason(error)}") from error
