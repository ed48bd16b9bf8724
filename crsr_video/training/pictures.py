"""Where the faces of a folder of pictures are: by its list, or found by the tracker's models."""

import csv
import hashlib
import logging
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crsr_video.errors import DegenerateFaceError, TrainingError
from crsr_video.imaging.geometry import (
    FACE_WIDTHS_PER_CROP,
    Points,
    bounds,
    crop_from_frame,
    crop_side,
    invert,
)
from crsr_video.io.frames import from_rgb
from crsr_video.track.tracker import Tracker
from crsr_video.training.pack import split_of
from crsr_video.types import Face

Bytes = NDArray[np.uint8]

LIST = "faces.csv"
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp"))
SIZES = {512: 250.0, 256: 125.0, 128: 62.0}
"""Side of the stored crop to the least face width, in pixels, that fills it.

A canonical crop is 1.9 face widths, so these enlarge a picture by 8 % at the most."""

UNREADABLE, TOO_SMALL, NO_FACE, DEGENERATE, CUT_OFF, DUPLICATE = (
    "unreadable",
    "too small",
    "no face",
    "degenerate",
    "cut off",
    "duplicate",
)
REASONS = (UNREADABLE, TOO_SMALL, NO_FACE, DEGENERATE, CUT_OFF, DUPLICATE)
"""Why a picture, or a face in it, is left out."""

_POINTS = ("eye_r", "eye_l", "nose", "mouth_r", "mouth_l")
_SURE = 0.5
"""Confidence of the tracker from which what it found is a face."""
LOOKS = 4
"""Frames for which a picture is shown to the tracker: it believes a doubtful face when it has been
found twice, and looks again after three."""
_INSIDE = 0.8
"""Share of a crop that the picture must fill."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Placed:
    """A face that is known to be in a picture."""

    file: str
    """Path below the source folder."""
    split: str
    kind: str
    person: str
    licence: str
    size: int
    """Side of the crop that it fills, one of `SIZES`."""
    landmarks: tuple[tuple[float, float], ...]
    """Five, (x, y) in pixels of the picture, in the order of `geometry.TEMPLATE`."""


class Skipped(Counter[str]):
    """How many were left out, by reason; each is also logged."""

    def add(self, reason: str, file: str) -> None:
        """Count one."""
        self[reason] += 1
        log.info("%s: skipped, %s", file, reason)


def size_for(face_width: float) -> int | None:
    """The largest crop that a face of this width fills; None when it is too small."""
    return next((size for size, least in SIZES.items() if face_width >= least), None)


def read_picture(path: Path) -> Bytes | None:
    """uint8 (H, W, 3) RGB, upright by its EXIF data; None: it cannot be read."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except (OSError, cv2.error):
        return None
    return None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def listed(folder: Path, skipped: Skipped) -> list[Placed]:
    """The faces of ``faces.csv``. Raises TrainingError: the list cannot be read."""
    try:
        with (folder / LIST).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError(f"cannot read the list of faces {folder / LIST}: {error}") from error
    return [placed for row in rows if (placed := _from_row(row, skipped))]


def _from_row(row: dict[str, str], skipped: Skipped) -> Placed | None:
    try:
        size = size_for(float(row["face_width"]))
        points = tuple((float(row[f"{p}_x"]), float(row[f"{p}_y"])) for p in _POINTS)
        crop_side(points)
        if size is None:
            skipped.add(TOO_SMALL, row["file"])
            return None
        return Placed(
            file=row["file"],
            split=row["split"],
            kind=row["kind"],
            person=row["person"],
            licence=row.get("licence") or "",
            size=size,
            landmarks=points,
        )
    except (DegenerateFaceError, KeyError, TypeError, ValueError):
        skipped.add(DEGENERATE, row.get("file") or "a row without a file")
        return None


def searched(folder: Path, skipped: Skipped, *, progress: bool = False) -> list[Placed]:
    """Every face that is found in the pictures below a folder and is wide enough.

    A person is a sub-folder, or each picture by itself where there are none; the split follows
    from the person's name alone. A file that was there before under another name is left out.
    Raises: TrainingError: no such folder. FaceModelError: a face model is missing.
    """
    files = picture_files(folder)
    if not files:
        return []
    placed: list[Placed] = []
    seen: set[bytes] = set()
    with Tracker(lookahead=0, min_face=min(SIZES.values())) as tracker:
        for file in tqdm(files, unit="picture", disable=not progress):
            name = file.relative_to(folder).as_posix()
            picture = read_picture(file)
            if picture is None:
                skipped.add(UNREADABLE, name)
                continue
            digest = hashlib.sha256(picture.tobytes()).digest()
            if digest in seen:
                skipped.add(DUPLICATE, name)
                continue
            seen.add(digest)
            faces = _faces_in(tracker, picture)
            if not faces:
                skipped.add(NO_FACE, name)
            person = _person(folder, file)
            for face in faces:
                size = _usable(face, picture, name, skipped)
                if size:
                    placed.append(_placed(name, person, size, face.landmarks))
    return placed


def picture_files(folder: Path) -> list[Path]:
    """All pictures below a folder, in order; links to folders are not followed.

    Raises: TrainingError: no such folder.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder} is no folder")
    return sorted(
        Path(base) / name
        for base, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES
    )


def _person(folder: Path, file: Path) -> str:
    return file.stem if file.parent == folder else file.parent.name


def _faces_in(tracker: Tracker, picture: Bytes) -> list[Face]:
    """What the tracker finds; a face in doubt is looked at again, as in the next frame."""
    for index in range(LOOKS):
        (item,) = tracker.push(from_rgb(picture, index))
    tracker.reset()
    return [face for face in item.faces if face.confidence >= _SURE]


def _usable(face: Face, picture: Bytes, name: str, skipped: Skipped) -> int | None:
    """The size that a face fills, or None, counted, if it cannot be used."""
    try:
        size = size_for(crop_side(face.landmarks) / FACE_WIDTHS_PER_CROP)
        inside = share_inside(face.landmarks, picture.shape[1], picture.shape[0])
    except DegenerateFaceError:
        skipped.add(DEGENERATE, name)
        return None
    if size is None or inside < _INSIDE:
        skipped.add(TOO_SMALL if size is None else CUT_OFF, name)
        return None
    return size


def share_inside(landmarks: Points, width: int, height: int, sample_aspect: float = 1.0) -> float:
    """Share of a face's canonical crop that lies in a frame, by the box around the crop."""
    frame_from_crop = invert(crop_from_frame(landmarks, 64, sample_aspect))
    box = np.array(bounds(frame_from_crop, 64)).reshape(2, 2)
    inside = np.clip(box, -0.5, np.array([width, height]) - 0.5)
    return float((inside[1] - inside[0]).prod() / (box[1] - box[0]).prod())


def _placed(name: str, person: str, size: int, landmarks: Points) -> Placed:
    return Placed(
        file=name,
        split=split_of(person),
        kind="unstated",
        person=person,
        licence="",
        size=size,
        landmarks=tuple((float(x), float(y)) for x, y in landmarks),
    )
