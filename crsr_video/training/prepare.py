"""From a folder of face pictures to aligned canonical crops on disk, once.

In: pictures and their `faces.csv` (file, split, kind, person, face_width and five landmarks in
picture pixels, in the order of `geometry.TEMPLATE`). Out: one uint8 array (N, S, S, 3) RGB for
each split and size, memory-mapped when read, and an index that says what each row is.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crsr_video.errors import CrsrError, TrainingError
from crsr_video.geometry import crop_from_frame
from crsr_video.warp import warp

INDEX = "index.json"
SIZES = {512: 250.0, 256: 125.0, 128: 62.0}
"""Side of the stored crop to the least face width, in pixels, that fills it.

A canonical crop is 1.9 face widths, so these enlarge a picture by 8 % at the most."""

_POINTS = ("eye_r", "eye_l", "nose", "mouth_r", "mouth_l")


@dataclass(frozen=True)
class Prepared:
    """One row of a prepared array."""

    file: str
    """Path below the source folder."""
    split: str
    kind: str
    """Real or synthetic."""
    person: str
    size: int
    """Side of the stored crop in pixels."""
    row: int
    """Position in the array of its split and size."""
    sha256: str
    """Of the source file."""
    licence: str = ""
    """As the list of faces states it."""


def array_path(folder: Path, split: str, size: int) -> Path:
    """Where the crops of a split and size lie."""
    return folder / f"{split}_{size}.npy"


def size_for(face_width: float) -> int | None:
    """The largest crop that a face of this width fills; None when it is too small."""
    return next((size for size, least in SIZES.items() if face_width >= least), None)


def prepare(faces_csv_dir: Path, out_dir: Path, *, progress: bool = False) -> dict[str, int]:
    """Align every usable picture and store the crops with an index.

    Args:    faces_csv_dir: holds `faces.csv` and the pictures.
             out_dir: made if missing; earlier arrays in it are overwritten.
             progress: draw a progress bar.
    Returns: how many pictures went to each array ("train_256"), and how many were "skipped".
    Raises:  TrainingError: no list of faces, or not one usable picture in it.
    """
    rows = _read_rows(faces_csv_dir / "faces.csv")
    groups: dict[tuple[str, int], list[dict[str, str]]] = {}
    for row in rows:
        size = size_for(float(row["face_width"]))
        if size is not None:
            groups.setdefault((row["split"], size), []).append(row)
    out_dir.mkdir(parents=True, exist_ok=True)
    index: list[Prepared] = []
    with tqdm(total=len(rows), unit="picture", disable=not progress) as bar:
        for (split, size), group in sorted(groups.items()):
            made = list(_write_array(faces_csv_dir, out_dir, split, size, group, bar))
            index.extend(made)
    if not index:
        raise TrainingError(f"no usable face picture in {faces_csv_dir}")
    _write_index(out_dir, faces_csv_dir / "faces.csv", index, len(rows) - len(index))
    counts = Counter(f"{entry.split}_{entry.size}" for entry in index)
    return {**counts, "skipped": len(rows) - len(index)}


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise TrainingError(f"no list of faces at {path}") from error


def _write_array(
    source: Path, out: Path, split: str, size: int, rows: list[dict[str, str]], bar: Any
) -> Iterator[Prepared]:
    """Write one array and yield its index entries; unreadable pictures leave no gap."""
    crops: list[NDArray[np.uint8]] = []
    for row in rows:
        bar.update()
        crop = _aligned(source / row["file"], row, size)
        if crop is None:
            continue
        digest = hashlib.sha256((source / row["file"]).read_bytes()).hexdigest()
        yield Prepared(
            file=row["file"],
            split=split,
            kind=row["kind"],
            person=row["person"],
            size=size,
            row=len(crops),
            sha256=digest,
            licence=row.get("licence", ""),
        )
        crops.append(crop)
    if crops:
        _save(array_path(out, split, size), np.stack(crops))


def _save(path: Path, array: NDArray[np.uint8]) -> None:
    """Replace the array as a whole: a run that has the old one open keeps reading it."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.save(file, array)
    part.replace(path)


def _aligned(path: Path, row: dict[str, str], size: int) -> NDArray[np.uint8] | None:
    """The canonical crop of one picture, uint8 (size, size, 3) RGB; None if unusable."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    try:
        landmarks = [[float(row[f"{p}_x"]), float(row[f"{p}_y"])] for p in _POINTS]
        crop = warp(picture[..., ::-1], crop_from_frame(landmarks, size), size, size)
    except (CrsrError, KeyError, ValueError):
        return None
    return np.clip(np.rint(crop), 0, 255).astype(np.uint8)


def _write_index(out: Path, table: Path, index: list[Prepared], skipped: int) -> None:
    content = {
        "source_sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
        "skipped": skipped,
        "pictures": [asdict(entry) for entry in index],
    }
    (out / INDEX).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_index(folder: Path) -> list[Prepared]:
    """The pictures of a prepared folder.

    Raises: TrainingError: the folder was not prepared, or its index is damaged.
    """
    try:
        content = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return [Prepared(**entry) for entry in content["pictures"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder} holds no prepared faces: {error}") from error
