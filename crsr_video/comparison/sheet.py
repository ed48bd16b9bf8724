"""A contact sheet: close-ups of faces, before above after."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.comparison.labels import letters
from crsr_video.comparison.matching import Match, Pair
from crsr_video.comparison.moments import Moment, choose, moments
from crsr_video.comparison.place import Place
from crsr_video.errors import InputError, OutputError
from crsr_video.files import write_file
from crsr_video.track.tracker import Tracker
from crsr_video.track.view import Region, picture, view_of
from crsr_video.types import Frame

SIDE = 256
"""Of a close-up in pixels; cubic interpolation takes smaller ones there, and nothing else."""
_COLUMNS = 6
_GAP = 8
_STRIP = 20
"""Height of a line of text, in pixels."""

Picture = NDArray[np.uint8]
"""(H, W, 3), blue first, as OpenCV writes it."""


def write_sheet(before: Path, after: Path, place: Place, output: Path, *, faces: int) -> None:
    """Write up to `faces` close-ups; the videos are read twice, and no more than once at a time.

    Raises: InputError: there is no face, or see `Match`.
            OutputError: the picture cannot be written.
    """
    with Match(before, after, place) as match, Tracker() as tracker:
        chosen = choose(moments(match.pairs(), tracker), faces)
    if not chosen:
        raise InputError(f"{before}: no face was found to compare")
    with Match(before, after, place) as match:
        tiles = _tiles(match, chosen)
    _save(_arranged(tiles), output)


def _tiles(match: Match, chosen: list[Moment]) -> list[Picture]:
    """One tile for each moment, in their order."""
    due: dict[int, list[int]] = {}
    for index, moment in enumerate(chosen):
        due.setdefault(moment.pts, []).append(index)
    done: dict[int, Picture] = {}
    for pair in match.pairs():
        for index in due.get(pair[1].pts, ()):
            done[index] = _tile(pair, chosen[index])
        if len(done) == len(chosen):
            break
    return [done[index] for index in sorted(done)]


def _tile(pair: Pair, moment: Moment) -> Picture:
    """One face before and after, with its time and number above."""
    before, after = pair
    factor = view_of(after).height / view_of(before).height
    minutes, seconds = divmod(moment.seconds, 60)
    parts = [
        _strip(f"face {moment.track}, {int(minutes)}:{seconds:05.2f}, before"),
        _close_up(before, moment.region),
        _strip("after"),
        _close_up(after, _scaled(moment.region, factor)),
    ]
    return np.concatenate(parts)


def _close_up(frame: Frame, region: Region) -> Picture:
    rgb = picture(frame, region, SIDE)
    return (rgb[..., ::-1] * 255 + 0.5).astype(np.uint8)


def _scaled(region: Region, factor: float) -> Region:
    """The region in a frame `factor` times as large; the edges of both frames, at -0.5, meet."""
    x, y = ((value + 0.5) * factor - 0.5 for value in (region.x, region.y))
    return Region(x, y, region.width * factor, region.height * factor)


def _strip(text: str) -> Picture:
    """A line of text, black on white, as wide as a close-up."""
    words = letters(text, _STRIP)[:, : SIDE - 2]
    strip = np.full((_STRIP, SIDE, 3), 255, np.uint8)
    strip[:, 2 : 2 + words.shape[1]] = np.rint(255 * (1 - words))[..., None]
    return strip


def _arranged(tiles: list[Picture]) -> Picture:
    """Tiles in rows that are about equally long, on white."""
    rows = -(-len(tiles) // _COLUMNS)
    columns = -(-len(tiles) // rows)
    height, width = tiles[0].shape[0] + _GAP, tiles[0].shape[1] + _GAP
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        y, x = index // columns * height + _GAP, index % columns * width + _GAP
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet


def _save(sheet: Picture, output: Path) -> None:
    """Write under a hidden name first, so that no half picture is ever there."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if output.suffix.lower() != ".png" else []
    encoded, data = cv2.imencode(output.suffix.lower(), sheet, options)
    if not encoded:
        raise OutputError(f"{output}: cannot be written as a picture")
    try:
        write_file(output, [data.tobytes()])
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}") from error
