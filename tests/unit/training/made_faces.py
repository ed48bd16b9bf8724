"""A folder of made-up face pictures with its list, for tests."""

import csv
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from crsr_video.imaging.geometry import TEMPLATE

POINTS = ("eye_r", "eye_l", "nose", "mouth_r", "mouth_l")
FIELDS = ["file", "split", "kind", "person", "face_width", "licence"]
FIELDS += [f"{point}_{axis}" for point in POINTS for axis in "xy"]


def picture(side: int, seed: int) -> np.ndarray:
    """Return smooth colours with sharp marks at the landmarks; uint8 (side, side, 3) BGR."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(60, 200, (6, 6, 3)).astype(np.float32)
    image = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    for x, y in TEMPLATE * side - 0.5:
        cv2.circle(image, (round(x), round(y)), max(2, side // 24), (20, 20, 20), -1)
    return np.clip(image, 0, 255).astype(np.uint8)


def row(file: str, side: int, split: str, kind: str = "synthetic") -> dict[str, object]:
    values: dict[str, object] = {
        "file": file,
        "split": split,
        "kind": kind,
        "person": Path(file).stem,
        "face_width": side / 1.9,
        "licence": "made for the test",
    }
    for point, (x, y) in zip(POINTS, TEMPLATE * side - 0.5, strict=True):
        values |= {f"{point}_x": x, f"{point}_y": y}
    return values


def make_folder(folder: Path, sides: dict[str, list[int]]) -> Path:
    """Write pictures of these sides for each split, and faces.csv."""
    rows = []
    for split, group in sides.items():
        for number, side in enumerate(group):
            file = f"drawn/{split}_{number}.png"
            (folder / "drawn").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / file), picture(side, number))
            rows.append(row(file, side, split))
    write_list(folder, rows)
    return folder


def write_list(folder: Path, rows: list[dict[str, object]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "faces.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def portrait(
    scale: float = 0.75, turn: float = 0.0, dx: float = 0.0, size: tuple[int, int] = (320, 240)
) -> np.ndarray:
    """Return a photograph with one face near the middle, 88 `scale` pixels wide; uint8 RGB.

    Args: turn: degrees about the face's middle. dx: pixels to the right. size: width and height.
    """
    matrix = cv2.getRotationMatrix2D((224, 118), turn, scale)
    matrix[:, 2] += np.array([size[0] / 2 + dx, size[1] / 2 - 15]) - (224, 118)
    return cv2.warpAffine(data.astronaut(), matrix, size, flags=cv2.INTER_CUBIC, borderMode=1)
