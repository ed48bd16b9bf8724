"""From a folder of pictures to a pack of aligned canonical crops, once.

In: pictures, and if there is one their `faces.csv` (file, split, kind, person, face_width and five
landmarks in picture pixels, in the order of `geometry.TEMPLATE`); without it the tracker's models
find the faces. Out: one file, see `pack`.
"""

import hashlib
import logging
from bisect import bisect_left
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crsr_video.errors import CrsrError, TrainingError
from crsr_video.imaging.geometry import crop_from_frame
from crsr_video.imaging.warping import warp
from crsr_video.training.appearance import Appearance, measure
from crsr_video.training.pack import (
    PER_PICTURE,
    SUFFIX,
    PackSizeError,
    PackWriter,
    Prepared,
    encode,
    read_index,
)
from crsr_video.training.pictures import (
    LIST,
    REASONS,
    SIZES,
    UNREADABLE,
    Placed,
    Skipped,
    listed,
    read_picture,
    searched,
    size_for,
)

__all__ = ["SIZES", "Prepared", "prepare", "read_index", "size_for"]

Bytes = NDArray[np.uint8]

WORST = 70
"""WebP quality below which smaller crops are the lesser evil."""
_SAMPLE = 240
"""Pictures by which the size of a pack is foretold."""
_MARGIN = 0.99

log = logging.getLogger(__name__)


class Settings(NamedTuple):
    """How crops are stored."""

    quality: int
    """Of WebP."""
    largest: int
    """Side in pixels; larger crops are shrunk to it."""


def prepare(
    source: Path,
    out: Path,
    *,
    limit_mib: float | None = None,
    quality: int = 95,
    progress: bool = False,
) -> dict[str, int]:
    """Align every usable face of a folder and store the crops as a pack.

    Args:    source: pictures, with or without a `faces.csv`.
             out: the pack; a folder gets a ``faces.pack``. What was there is replaced.
             limit_mib: size that the pack must not exceed, in MiB; WebP quality is lowered for
             it, and where that would show too much the size of the largest crops.
             quality: WebP quality, 1 to 100; 101 is lossless.
             progress: draw a progress bar.
    Returns: how many crops there are of each split and size ("train_256"), how many faces were
             "skipped" and how many of these for each reason (`pictures.REASONS`), and the
             "quality" that was stored.
    Raises:  TrainingError: no usable face, the pack cannot be written, or cannot be so small.
             FaceModelError: there is no list, and a face model is missing.
    """
    skipped = Skipped()
    with_list = (source / LIST).is_file()
    faces = listed(source, skipped) if with_list else searched(source, skipped, progress=progress)
    faces.sort(key=lambda face: (face.split, face.size))  # stable: in the order of the list
    if out.is_dir():
        out = out / f"faces{SUFFIX}"
    limit = None if limit_mib is None else int(limit_mib * 2**20)
    settings = best = Settings(quality, max(SIZES))
    if limit is not None:
        settings = _fitting(source, faces, limit, best)
    while True:
        missed = Skipped()
        try:
            entries = _write(source, faces, out, settings, limit, missed, progress)
            break
        except PackSizeError:
            settings = _worse(settings, best)
    skipped.update(missed)
    log.info("%s: WebP quality %d, crops up to %d pixels", out, *settings)
    counts = Counter(f"{entry.split}_{entry.size}" for entry in entries)
    reasons = {reason: skipped[reason] for reason in REASONS}
    return {**counts, "skipped": skipped.total(), **reasons, "quality": settings.quality}


def aligned(source: Path, face: Placed, size: int) -> Bytes | None:
    """The canonical crop of a face, uint8 (size, size, 3) RGB; None: it cannot be read."""
    picture = read_picture(source / face.file)
    if picture is None:
        return None
    try:
        crop = warp(picture, crop_from_frame(face.landmarks, size), size, size)
    except CrsrError:
        return None
    return np.clip(np.rint(crop), 0, 255).astype(np.uint8)


def _write(
    source: Path,
    faces: list[Placed],
    out: Path,
    settings: Settings,
    limit: int | None,
    skipped: Skipped,
    progress: bool,
) -> list[Prepared]:
    """Write the pack. Raises PackSizeError: it does not fit; what was there is still there."""
    rows: Counter[tuple[str, int]] = Counter()
    entries: list[Prepared] = []
    with PackWriter(out, settings._asdict(), limit=limit) as pack:
        for face in tqdm(faces, unit="face", disable=not progress):
            size = min(face.size, settings.largest)
            crop = aligned(source, face, size)
            if crop is None:
                skipped.add(UNREADABLE, face.file)
                continue
            entries.append(_entry(source, face, size, rows[face.split, size], measure(crop)))
            rows[face.split, size] += 1
            pack.add(entries[-1], encode(crop, settings.quality))
        if not entries:
            raise TrainingError(f"no usable face picture in {source}")
    return entries


def _entry(source: Path, face: Placed, size: int, row: int, appearance: Appearance) -> Prepared:
    return Prepared(
        file=face.file,
        split=face.split,
        kind=face.kind,
        person=face.person,
        size=size,
        row=row,
        sha256=hashlib.sha256((source / face.file).read_bytes()).hexdigest(),
        licence=face.licence,
        **asdict(appearance),
    )


def _fitting(source: Path, faces: list[Placed], limit: int, best: Settings) -> Settings:
    """The best settings with which a sample of the faces foretells a pack within the limit."""
    chosen = faces[:: max(1, len(faces) // _SAMPLE)]
    qualities = range(min(WORST, best.quality), best.quality + 1)
    largest = best.largest
    while True:
        crops = [aligned(source, face, min(face.size, largest)) for face in chosen]
        found = [crop for crop in crops if crop is not None]
        share = _MARGIN * limit * len(found) / max(1, len(faces))
        fitting = bisect_left(qualities, True, key=lambda q: _bytes(found, q) > share)
        if fitting > 0 or largest == min(SIZES):
            return Settings(qualities[max(0, fitting - 1)], largest)
        largest //= 2


def _bytes(crops: list[Bytes], quality: int) -> int:
    return sum(len(encode(crop, quality)) + PER_PICTURE for crop in crops)


def _worse(settings: Settings, best: Settings) -> Settings:
    """The next smaller pack. Raises TrainingError: it cannot be any smaller."""
    quality, largest = settings
    if quality > WORST:
        return Settings(quality - 1, largest)
    if largest > min(SIZES):
        return Settings(best.quality, largest // 2)
    raise TrainingError("the faces are too many for so small a pack: raise the limit")
