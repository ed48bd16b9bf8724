"""What is behind the faces: pictures without any, real ones or made up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import ConfigError
from crsr_video.io.frames import as_rgb
from crsr_video.io.reader import Reader
from crsr_video.training.pictures import SUFFIXES, read_picture
from crsr_video.types import Frame

Bytes = NDArray[np.uint8]

_ENLARGED = 1.5
"""By how much a picture may be enlarged to fill a frame; a smaller one is mirrored about."""
_MADE_UP = 4
_SHAPES = 40


@dataclass(frozen=True)
class Backdrops:
    """Pictures to be put behind faces, as many sizes as are asked for."""

    files: Sequence[Path] = ()
    """None: they are made up."""
    seed: int = 0
    _made: dict[tuple[int, int, int], Bytes] = field(default_factory=dict)

    def picture(self, number: int, width: int, height: int) -> Bytes:
        """Background `number`, counted round: uint8 (height, width, 3) RGB, not to be written to.

        Raises: ConfigError: the file is no picture. InputError: it is no video.
        """
        key = (number % (len(self.files) or _MADE_UP), width, height)
        if key not in self._made:
            if len(self._made) > 1:
                self._made.clear()  # a scene needs two, of one size
            self._made[key] = self._make(*key)
        return self._made[key]

    def _make(self, number: int, width: int, height: int) -> Bytes:
        if not self.files:
            return made_up(width, height, np.random.default_rng([self.seed, 1, number]))
        return cover(_read(self.files[number]), width, height)


def found(source: Path | None, seed: int) -> Backdrops:
    """Backgrounds of a picture, a video (its first frame), or a folder of either.

    They must show no face: whatever the tracker finds there counts as wrong.
    Raises: ConfigError: there is none.
    """
    if source is None:
        return Backdrops(seed=seed)
    files = sorted(p for p in source.iterdir() if p.is_file()) if source.is_dir() else [source]
    if not files or not files[0].exists():
        raise ConfigError(f"no picture or video in {source}")
    return Backdrops(files, seed)


def _read(path: Path) -> Bytes:
    if path.suffix.lower() in SUFFIXES:
        picture = read_picture(path)
        if picture is None:
            raise ConfigError(f"{path} is no picture")
        return picture
    with Reader(path) as decoder:
        return as_rgb(next(islice((item for item in decoder if isinstance(item, Frame)), 1)))


def cover(picture: Bytes, width: int, height: int) -> Bytes:
    """Fill a frame with a picture: enlarged a little, shrunk, or mirrored about its edges."""
    rows, columns = picture.shape[:2]
    scale = min(_ENLARGED, max(width / columns, height / rows))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    resized = cv2.resize(picture, size, interpolation=how)
    right, down = max(0, width - size[0]), max(0, height - size[1])
    filled: Bytes = np.pad(resized, ((0, down), (0, right), (0, 0)), "symmetric")
    return filled[:height, :width]


def made_up(width: int, height: int, rng: np.random.Generator) -> Bytes:
    """Clutter: noise as strong at every scale, and flat shapes with sharp edges over it."""
    picture = np.full((height, width, 3), rng.uniform(70, 170, 3), np.float32)
    for cells in (3, 6, 12, 24, 48, 96):
        shape = (cells, cells * width // height + 1)
        rough = rng.normal(0, 12, (*shape, 1)) + rng.normal(0, 3, (*shape, 3))
        picture += cv2.resize(
            rough.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
    for _ in range(_SHAPES):
        middle = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(6, width // 8)), int(rng.integers(6, height // 3)))
        colour = (rng.uniform(40, 200) + rng.uniform(-25, 25, 3)).astype(np.float32)
        box = (middle, axes, float(rng.uniform(0, 180)))
        corners = np.rint(cv2.boxPoints(box)).astype(np.int32)
        low, high = np.clip([corners.min(0), corners.max(0) + 1], 0, (width, height))
        part = picture[low[1] : high[1], low[0] : high[0]]
        alpha = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(alpha, [corners - low.astype(np.int32)], 153, cv2.LINE_AA)
        part += (colour - part) * (alpha[..., None] / np.float32(255))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
