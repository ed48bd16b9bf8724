"""Prepare a folder of pictures as a pack of aligned canonical crops, or of patches.

A folder may have a `faces.csv` (file, split, kind, person, face_width and five landmarks in picture
pixels, in the order of `geometry.TEMPLATE`). Without one, the tracker's models find the faces.
Patches show pictures of any kind, for the network for whole frames.
"""

import csv
import hashlib
import logging
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from crsr_video.errors import CrsrError, DegenerateFaceError, TrainingError
from crsr_video.files import sha256_of_file
from crsr_video.imaging.geometry import (
    FACE_WIDTHS_PER_CROP,
    Points,
    bounds,
    crop_from_frame,
    crop_side,
    invert,
)
from crsr_video.imaging.warping import warp
from crsr_video.io.pictures import from_rgb
from crsr_video.track.tracker import Tracker
from crsr_video.training.appearance import measure
from crsr_video.training.pack import (
    SIZES,
    Prepared,
    encode,
    new_pack,
    split_of,
)
from crsr_video.types import Bytes, Face

LIST = "faces.csv"
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp"))
REASONS = ("unreadable", "too small", "no face", "degenerate", "cut off", "duplicate")
"""Reasons for which a picture, or a face in it, is skipped."""
UNREADABLE, TOO_SMALL, NO_FACE, DEGENERATE, CUT_OFF, DUPLICATE = REASONS

LOOKS = 4
"""Number of times that a picture is given to the tracker. The tracker accepts a doubtful face only
after a second detection, and searches for it again after three frames, so four are needed."""
_POINTS = ("eye_r", "eye_l", "nose", "mouth_r", "mouth_l")
_LEAST_CONFIDENCE = 0.5
_LEAST_INSIDE = 0.8
"""Minimum share of a crop that lies inside the picture."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocatedFace:
    """A face whose position in a picture is known."""

    file: str
    """Path below the source folder."""
    split: str
    kind: str
    person: str
    licence: str
    size: int
    """Side of the largest crop that the face fills, one of `SIZES`."""
    landmarks: tuple[tuple[float, float], ...]
    """Five points (x, y) in picture pixels, in the order of `geometry.TEMPLATE`."""


class SkipCounter(Counter[str]):
    """Counts skipped pictures and faces by reason, and logs each."""

    def add(self, reason: str, file: str) -> None:
        """Count and log one skipped picture or face."""
        self[reason] += 1
        _LOG.info("%s: skipped, %s", file, reason)


def prepare(
    source: Path, out: Path, *, quality: int = 95, progress: bool = False
) -> dict[str, int]:
    """Align every usable face of a folder, and store the crops as a pack.

    Args:
        source: Folder of pictures, with or without a `faces.csv`.
        out: The pack to write, which replaces an existing one. If this is a folder, the pack is
            called ``faces.pack`` in it.
        quality: WebP quality, 1 to 100; 101 is lossless.
        progress: Whether to draw a progress bar on standard error.

    Returns:
        Number of crops for each split and size (such as "train_256"), total number of
        skipped pictures and faces ("skipped"), and their number for each of `REASONS`.

    Raises:
        TrainingError: There is no usable face, or the pack cannot be written.
    """
    skipped = SkipCounter()
    has_list = (source / LIST).is_file()
    faces = listed(source, skipped) if has_list else detected(source, skipped, progress=progress)
    faces.sort(key=lambda face: (face.split, face.size))  # Equal keys keep their order.
    with new_pack(out, {"quality": quality, "largest": max(SIZES)}) as pack:
        for face in tqdm(faces, unit="face", disable=not progress):
            crop = aligned(source, face, face.size)
            if crop is None:
                skipped.add(UNREADABLE, face.file)
                continue
            entry = Prepared(
                file=face.file,
                split=face.split,
                kind=face.kind,
                person=face.person,
                size=face.size,
                row=0,
                sha256=sha256_of_file(source / face.file),
                licence=face.licence,
                **asdict(measure(crop)),
            )
            pack.add(entry, encode(crop, quality))
        if not pack.rows:
            raise TrainingError(f"no usable face picture in {source}")
    counts = {f"{split}_{size}": count for (split, size), count in pack.rows.items()}
    reasons = {reason: skipped[reason] for reason in REASONS}
    return {**counts, "skipped": skipped.total(), **reasons}


def aligned(source: Path, face: LocatedFace, size: int) -> Bytes | None:
    """Return the canonical crop of a face, uint8 (size, size, 3) RGB, or None if unreadable."""
    picture = read_picture(source / face.file)
    if picture is None:
        return None
    try:
        crop = warp(picture, crop_from_frame(face.landmarks, size), size, size)
    except CrsrError:
        return None
    return np.clip(np.rint(crop), 0, 255).astype(np.uint8)


def size_for(face_width: float) -> int | None:
    """Return the side of the largest crop that a face of this width fills, or None."""
    return next((size for size, least in SIZES.items() if face_width >= least), None)


def read_picture(path: Path) -> Bytes | None:
    """Return a picture as uint8 (H, W, 3) RGB, rotated as EXIF says, or None if unreadable."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except (OSError, cv2.error):
        return None
    return None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def listed(folder: Path, skipped: SkipCounter) -> list[LocatedFace]:
    """Return the faces of ``faces.csv``.

    Raises:
        TrainingError: The list cannot be read.
    """
    try:
        with (folder / LIST).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError(f"cannot read the list of faces {folder / LIST}: {error}") from error
    return [face for row in rows if (face := _from_row(row, skipped))]


def _from_row(row: dict[str, str], skipped: SkipCounter) -> LocatedFace | None:
    try:
        size = size_for(float(row["face_width"]))
        points = tuple((float(row[f"{p}_x"]), float(row[f"{p}_y"])) for p in _POINTS)
        crop_side(points)
        if size is None:
            skipped.add(TOO_SMALL, row["file"])
            return None
        return LocatedFace(
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


def detected(folder: Path, skipped: SkipCounter, *, progress: bool = False) -> list[LocatedFace]:
    """Detect the faces in all pictures below a folder, except faces that are too small.

    All pictures in the same sub-folder are taken to show one person, named after it. Each picture
    directly in the folder is taken to show a different person. The split depends only on the name
    of the person. A picture that equals an earlier one is skipped.
    """
    files = picture_files(folder)
    if not files:
        return []
    found: list[LocatedFace] = []
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
            person = file.stem if file.parent == folder else file.parent.name
            for face in faces:
                size = _usable_size(face, picture, name, skipped)
                if size:
                    found.append(_located(name, person, size, face.landmarks))
    return found


def picture_files(folder: Path) -> list[Path]:
    """Return all pictures below a folder, in order. Links to folders are not followed.

    Raises:
        TrainingError: There is no such folder.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder}: is not a folder")
    return sorted(
        Path(base) / name
        for base, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES
    )


def _faces_in(tracker: Tracker, picture: Bytes) -> list[Face]:
    for index in range(LOOKS):
        (item,) = tracker.push(from_rgb(picture, index))
    tracker.reset()
    return [face for face in item.faces if face.confidence >= _LEAST_CONFIDENCE]


def _usable_size(face: Face, picture: Bytes, name: str, skipped: SkipCounter) -> int | None:
    """Return the crop size that a face fills. If the face is unusable, count it and return None."""
    try:
        size = size_for(crop_side(face.landmarks) / FACE_WIDTHS_PER_CROP)
        inside = share_inside(face.landmarks, picture.shape[1], picture.shape[0])
    except DegenerateFaceError:
        skipped.add(DEGENERATE, name)
        return None
    if size is None or inside < _LEAST_INSIDE:
        skipped.add(TOO_SMALL if size is None else CUT_OFF, name)
        return None
    return size


def share_inside(landmarks: Points, width: int, height: int, sample_aspect: float = 1.0) -> float:
    """Return the share of the box around a face's canonical crop that lies in a frame."""
    frame_from_crop = invert(crop_from_frame(landmarks, 64, sample_aspect))
    box = np.array(bounds(frame_from_crop, 64)).reshape(2, 2)
    inside = np.clip(box, -0.5, np.array([width, height]) - 0.5)
    return float((inside[1] - inside[0]).prod() / (box[1] - box[0]).prod())


def _located(name: str, person: str, size: int, landmarks: Points) -> LocatedFace:
    return LocatedFace(
        file=name,
        split=split_of(person),
        kind="unstated",
        person=person,
        licence="",
        size=size,
        landmarks=tuple((float(x), float(y)) for x, y in landmarks),
    )


PATCH_SIDE = 256
"""Side of a patch in pixels."""
_MOST_PATCHES = 6
"""Maximum number of patches of one picture at one size."""
_LEAST_DETAIL = 3.0
"""Minimum standard deviation of a patch's Laplacian, in codes. Flatter patches teach little."""


def prepare_patches(
    source: Path, out: Path, *, quality: int = 95, progress: bool = False
) -> dict[str, int]:
    """Cut patches out of all pictures below a folder, at their own size and at half of it.

    Args:
        source: The folder. The split of a picture depends only on its path in it.
        out: The pack to write.
        quality: WebP quality, 1 to 100; 101 is lossless.
        progress: Whether to draw a progress bar on standard error.

    Returns:
        Number of patches for each split, and number of pictures without any.

    Raises:
        TrainingError: No picture has a usable patch, or the pack cannot be written.
    """
    skipped = 0
    with new_pack(out, {"quality": quality, "side": PATCH_SIDE}) as pack:
        for path in tqdm(picture_files(source), unit="picture", disable=not progress):
            name = path.relative_to(source).as_posix()
            picture = read_picture(path)
            patches = [] if picture is None else [*_patches(picture), *_patches(_half(picture))]
            skipped += not patches
            for patch in patches:
                split, sha256 = split_of(name), sha256_of_file(path)
                pack.add(
                    Prepared(name, split, "patch", name, PATCH_SIDE, 0, sha256),
                    encode(patch, quality),
                )
        if not pack.rows:
            raise TrainingError(f"no usable picture in {source}")
    return {**{split: count for (split, _), count in pack.rows.items()}, "skipped": skipped}


def _half(picture: Bytes) -> Bytes:
    """Shrink a picture to half its size, but not below the size of a patch."""
    share = max(0.5, PATCH_SIDE / min(picture.shape[:2]))
    if share >= 0.9:
        return picture[:0]
    size = round(share * picture.shape[1]), round(share * picture.shape[0])
    result: Bytes = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return result


def _patches(picture: Bytes) -> list[Bytes]:
    """Return the most detailed of those patches that cover a picture evenly."""
    if min(picture.shape[:2]) < PATCH_SIDE:
        return []
    tops, lefts = (
        np.linspace(0, length - PATCH_SIDE, -(-length // PATCH_SIDE)).astype(int)
        for length in picture.shape[:2]
    )
    found = [
        picture[top : top + PATCH_SIDE, left : left + PATCH_SIDE] for top in tops for left in lefts
    ]
    ranked = sorted(((_detail(patch), n) for n, patch in enumerate(found)), reverse=True)
    return [found[n] for detail, n in ranked[:_MOST_PATCHES] if detail >= _LEAST_DETAIL]


def _detail(patch: Bytes) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())
