"""Sharp clips, and where the faces are in them.

Two files named ``X_pristine.*`` and ``X_distorted.*`` are a pair: one clip whose degraded copy
exists. Of any other clip `video_spoil` makes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TrainingError
from crsr_video.imaging.geometry import FACE_WIDTHS_PER_CROP, Points, crop_side, resize_matrix
from crsr_video.imaging.resampling import sample
from crsr_video.io.frames import from_rgb
from crsr_video.io.reader import Reader
from crsr_video.track.tracker import Tracker
from crsr_video.types import Face, Frame

Bytes = NDArray[np.uint8]

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".mpg")
TRUE, SPOILT = "_pristine", "_distorted"
"""How the names of a pair end, before the suffix."""

_LEAST_SHARE = 0.5
"""Of the frames in which a face must be seen, and of the widest face's width, to be measured."""


@dataclass(frozen=True)
class Clip:
    """A sharp clip, and its degraded copy where there is one already."""

    name: str
    path: Path
    spoilt: Path | None = None


@dataclass(frozen=True)
class Known:
    """Where the faces of a sharp clip are; points in pixels of its upright frames."""

    points: list[dict[int, Points]]
    """For every frame, the (5, 2) landmarks by track."""
    width: float
    """Median width of the widest face, in pixels."""

    @property
    def tracks(self) -> set[int]:
        """Every face that is measured."""
        return {track for frame in self.points for track in frame}


def clips_in(folder: Path, limit: int | None = None) -> list[Clip]:
    """The clips of a folder by name; with a limit, so many of them, spread over all.

    Raises: TrainingError: there is none, or half of a pair is missing.
    """
    files = {p.stem: p for p in sorted(folder.glob("*")) if p.suffix.lower() in SUFFIXES}
    clips = [
        _clip(path, files)
        for stem, path in files.items()
        if not (stem.endswith(SPOILT) and stem.removesuffix(SPOILT) + TRUE in files)
    ]
    if not clips:
        raise TrainingError(f"no clip in {folder}")
    count = min(limit or len(clips), len(clips))
    return [clips[i] for i in np.linspace(0, len(clips) - 1, count).round().astype(int)]


def _clip(path: Path, files: dict[str, Path]) -> Clip:
    stem = path.stem
    if stem.endswith(SPOILT):
        raise TrainingError(f"{path} has no {stem.removesuffix(SPOILT)}{TRUE} beside it")
    if not stem.endswith(TRUE):
        return Clip(stem, path)
    name = stem.removesuffix(TRUE)
    if name + SPOILT not in files:
        raise TrainingError(f"{path} has no {name}{SPOILT} beside it")
    return Clip(name, path, files[name + SPOILT])


def decoded(path: Path, count: int) -> Iterator[Frame]:
    """The first `count` frames of a file, as the decoder makes them."""
    with Reader(path) as decoder:
        yield from islice((item for item in decoder if isinstance(item, Frame)), count)


def upright(path: Path, count: int) -> Iterator[Bytes]:
    """The same as a player would show them: uint8 RGB (H, W, 3) with square pixels."""
    for frame in decoded(path, count):
        width = round(frame.width * frame.sample_aspect)
        shown = sample(frame, resize_matrix(width / frame.width, 1.0), width, frame.height)
        turned = np.rot90(shown, frame.rotation // 90)
        yield np.rint(turned.clip(0, 1) * 255).astype(np.uint8)


def known_faces(clip: Clip, count: int) -> Known:
    """Track the faces of a sharp clip.

    Args:   count: frames to look at.
    Raises: TrainingError: no face is seen long enough.
    """
    with Tracker() as tracker:
        items = [tracker.push(from_rgb(p, i)) for i, p in enumerate(upright(clip.path, count))]
        seen = [item.faces for some in (*items, tracker.flush()) for item in some]
    return known_from(seen, clip.name)


def known_from(seen: list[tuple[Face, ...]], name: str) -> Known:
    """Choose the faces to be measured: large ones that stay.

    Raises: TrainingError: there is none.
    """
    sides: dict[int, list[float]] = {}
    for face in (face for faces in seen for face in faces if face.skipped is None):
        sides.setdefault(face.track, []).append(crop_side(face.landmarks))
    lasting = {t: float(np.median(s)) for t, s in sides.items() if _lasts(s, len(seen))}
    if not lasting:
        raise TrainingError(f"no face stays in view in {name}")
    widest = max(lasting.values())
    chosen = {track for track, side in lasting.items() if side >= _LEAST_SHARE * widest}
    points = [{f.track: f.landmarks for f in faces if f.track in chosen} for faces in seen]
    return Known(points, widest / FACE_WIDTHS_PER_CROP)


def _lasts(sides: list[float], frames: int) -> bool:
    return len(sides) >= max(2, _LEAST_SHARE * frames)
