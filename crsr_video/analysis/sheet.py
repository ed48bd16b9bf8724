"""A sheet of all persons of a video, with their numbers: for choosing whom to enhance."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from crsr_video.analysis.portraits import SIDE, Picture
from crsr_video.comparison.labels import letters
from crsr_video.errors import OutputError
from crsr_video.track.tracks_file import Person, write_whole

_ENLARGED = 144
"""Pixels a side of a picture on the sheet."""
_LINES = (22, 16, 16)
"""Heights of the lines below it."""
_GAP = 10
_MOST = 400
"""Persons on a sheet: those who are seen longest."""


def write_sheet(people: Sequence[Person], pictures: dict[int, Picture], path: Path) -> str | None:
    """Write the persons' pictures in rows, in the order of their numbers.

    Returns: what the user should know, or None.
    Raises:  OutputError, TracksError: it cannot be written.
    """
    longest = sorted(people, key=lambda p: (-p.frames, p.id))[:_MOST]
    chosen = sorted(longest, key=lambda p: p.id)
    tiles = [_tile(person, pictures.get(person.id)) for person in chosen]
    encoded, data = cv2.imencode(path.suffix.lower(), _arranged(tiles))
    if not encoded:
        raise OutputError(f"{path}: cannot be written as a picture")
    write_whole(path, [data.tobytes()])
    if len(people) > _MOST:
        return f"{path} shows the {_MOST} of {len(people)} faces that are seen longest"
    return None


def clock(seconds: float) -> str:
    """A time as people write it: 1:02.5."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(abs(tenths), 600)
    return f"{'-' if tenths < 0 else ''}{minutes}:{rest // 10:02d}.{rest % 10}"


def _tile(person: Person, shown: Picture | None) -> Picture:
    blank = np.full((SIDE, SIDE, 3), 224, np.uint8)
    large = cv2.resize(
        blank if shown is None else shown, (_ENLARGED, _ENLARGED), interpolation=cv2.INTER_CUBIC
    )
    lines = (
        f"face {person.id}",
        f"{clock(person.first_seconds)} to {clock(person.last_seconds)}",
        f"{person.frames} frames, {person.size:.0f} px",
    )
    strips = [_strip(text, height) for text, height in zip(lines, _LINES, strict=True)]
    return np.concatenate([large, *strips])


def _strip(text: str, height: int) -> Picture:
    """A line of text, black on white."""
    words = letters(text, height)[:, :_ENLARGED]
    strip = np.full((height, _ENLARGED, 3), 255, np.uint8)
    strip[:, : words.shape[1]] = np.rint(255 * (1 - words))[..., None]
    return strip


def _arranged(tiles: list[Picture]) -> Picture:
    """Tiles in rows, about twice as wide as high, on white."""
    if not tiles:
        return np.full((_ENLARGED, 2 * _ENLARGED, 3), 255, np.uint8)
    columns = max(1, min(len(tiles), round(np.sqrt(2.5 * len(tiles)))))
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[0] + _GAP, tiles[0].shape[1] + _GAP
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        y, x = index // columns * height + _GAP, index % columns * width + _GAP
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet
