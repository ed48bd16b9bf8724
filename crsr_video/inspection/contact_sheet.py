"""Contact sheets of small pictures with captions, and the best picture of every person for one."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import ConfigError, OutputError
from crsr_video.files import write_file, writing
from crsr_video.formatting import format_time
from crsr_video.inspection.drawing import render_text
from crsr_video.track.region_pictures import picture
from crsr_video.track.regions import face_region, portrait_score
from crsr_video.track.tracks_file import Person
from crsr_video.types import Face, Frame, TrackedFrame

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
    with writing(path):
        write_file(path, [data.tobytes()])


PORTRAIT_SIDE = 96
"""Side of a portrait in pixels."""
_FACE_WIDTHS = 1.6
_HALF_SHARP = 0.02
"""Mean absolute Laplacian at which a picture counts as half sharp, for luma in [0, 1]."""
_PORTRAIT_QUALITY = 88
_URL_PREFIX = "data:image/jpeg;base64,"
_EXAMINE_EVERY = 8
"""One frame in this many is always examined, because the face may have become sharper."""
_BETTER = 1.05
"""Other frames are examined only if their score without regard to sharpness exceeds that of the
best frame by this factor."""
_SHEET_SIDE = 144
"""Side of a portrait on the sheet in pixels."""
_CAPTION_HEIGHTS = (22, 16, 16)
_MAX_ON_SHEET = 400


@dataclass(slots=True)
class _Portrait:
    frames: int = 0
    upper_score: float = -1.0
    """Score of the portrait without regard to sharpness, which is an upper bound of `score`."""
    score: float = -1.0
    jpeg: bytes = b""


class Portraits:
    """Keeps the best portrait of each person as a JPEG of a few kilobytes."""

    def __init__(self) -> None:
        self._best: dict[int, _Portrait] = {}

    def add(self, item: TrackedFrame) -> None:
        """Examine the faces of the next frame."""
        for face in item.faces:
            self._add(item.frame, face)

    @property
    def urls(self) -> dict[int, str]:
        """The portraits as ``data:`` URLs, by track ID."""
        jpegs = {key: best.jpeg for key, best in self._best.items() if best.jpeg}
        return {key: _URL_PREFIX + base64.b64encode(jpeg).decode() for key, jpeg in jpegs.items()}

    def _add(self, frame: Frame, face: Face) -> None:
        best = self._best.setdefault(face.track, _Portrait())
        upper_score = portrait_score(frame, face)
        due = best.frames % _EXAMINE_EVERY == 0 or upper_score > _BETTER * best.upper_score
        best.frames += 1
        # Blur can only lower the score, so a frame with a low upper bound need not be drawn.
        if not np.isfinite(upper_score) or not due or upper_score <= best.score:
            return
        shown = picture(frame, face_region(frame, face, _FACE_WIDTHS), PORTRAIT_SIDE)
        score = upper_score * _sharpness(shown)
        if score > best.score:
            best.upper_score, best.score = upper_score, score
            _, data = cv2.imencode(
                ".jpg", to_bgr(shown), [cv2.IMWRITE_JPEG_QUALITY, _PORTRAIT_QUALITY]
            )
            best.jpeg = bytes(data.tobytes())


def _sharpness(shown: NDArray[np.float32]) -> float:
    """Return the sharpness of the centre of a picture, 0 to 1, from its mean absolute Laplacian."""
    luma = shown[
        PORTRAIT_SIDE // 4 : -PORTRAIT_SIDE // 4, PORTRAIT_SIDE // 4 : -PORTRAIT_SIDE // 4
    ] @ np.full(3, 1 / 3, np.float32)
    detail = float(np.abs(cv2.Laplacian(luma, cv2.CV_32F)).mean())
    return 0.05 + 0.95 * detail / (detail + _HALF_SHARP)


def write_people_sheet(people: Sequence[Person], path: Path) -> str | None:
    """Write a contact sheet with the portraits of all people, ordered by their numbers.

    Returns:
        A notice for the user if the sheet does not show everybody, else None.
    """
    longest = sorted(people, key=lambda p: (-p.frames, p.id))[:_MAX_ON_SHEET]
    tiles = [_tile(person) for person in sorted(longest, key=lambda p: p.id)]
    empty = np.full((_SHEET_SIDE, 2 * _SHEET_SIDE, 3), 255, np.uint8)
    # This makes the sheet about twice as wide as it is high.
    columns = max(1, min(len(tiles), round(np.sqrt(2.5 * len(tiles)))))
    save(arrange(tiles, columns) if tiles else empty, path)
    if len(people) <= _MAX_ON_SHEET:
        return None
    return f"{path}: shows only {_MAX_ON_SHEET} of {len(people)} people, those seen longest"


def _tile(person: Person) -> Picture:
    shown = np.full((PORTRAIT_SIDE, PORTRAIT_SIDE, 3), 224, np.uint8)
    if person.thumbnail:
        jpeg = base64.b64decode(person.thumbnail.removeprefix(_URL_PREFIX))
        shown = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    size = _SHEET_SIDE, _SHEET_SIDE
    large = cv2.resize(shown, size, interpolation=cv2.INTER_CUBIC)
    lines = (
        f"person {person.id}",
        f"{format_time(person.first_seconds)} to {format_time(person.last_seconds)}",
        f"{person.frames} frames, {person.size:.0f} px",
    )
    heights = zip(lines, _CAPTION_HEIGHTS, strict=True)
    return np.concatenate([large, *(caption(text, _SHEET_SIDE, high) for text, high in heights)])
