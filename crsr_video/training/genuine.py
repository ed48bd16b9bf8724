"""Genuine low-resolution faces: a harvested pack, or an array of research data.

An array is an ``.npz`` file with `faces`, uint8 (N, H, W, 3) RGB, of which every tenth is for
validation. The index of a harvested pack says which face belongs to which split.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.imaging.geometry import compose, resize_matrix
from crsr_video.imaging.warping import warp
from crsr_video.training.data import Faces, evenly_spaced, resized
from crsr_video.training.pack import Pack
from crsr_video.types import Bytes

USABLE = (0.6, 1.5)
"""Range of usable native sides, relative to the requested size. Others would be resampled too
much."""
_VAL_EVERY = 10


class Genuine:
    """Genuine faces of one split or of both. They are small, so they are decoded once and kept."""

    def __init__(self, path: Path, split: str | None = None) -> None:
        """Open the faces.

        Args:
            path: A pack, the folder of one, or an ``.npz`` file.
            split: "train", "val", or None for both.

        Raises:
            TrainingError: There are no such faces, or they are damaged.
        """
        self._path = path
        self._sides, self._read = (
            _from_array(path, split) if path.suffix == ".npz" else _from_pack(path, split)
        )
        if not len(self._sides):
            raise TrainingError(f"{path} has no faces of the split {split!r}")
        self._kept: dict[int, Bytes] = {}

    def count(self, size: int) -> int:
        """Return how many faces are usable for networks whose input is `size` pixels wide."""
        return len(self._usable(size))

    def batch(self, size: int, n: int, rng: np.random.Generator) -> Tensor:
        """Return random faces, float32 (n, 3, size, size) in [0, 1], half of them mirrored."""
        usable = self._some(size)
        chosen = usable[rng.integers(len(usable), size=n)]
        pictures = [resized(self._picture(int(number)), size) for number in chosen]
        mirrored = rng.random(n) < 0.5
        stack = np.stack([p[:, ::-1] if m else p for p, m in zip(pictures, mirrored, strict=True)])
        return torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous().float().div_(255)

    def all(self, size: int, limit: int | None = None) -> Iterator[Bytes]:
        """Yield each face once, uint8 (size, size, 3), RGB, always in the same order.

        Args:
            size: Side in pixels.
            limit: Maximum number of faces, which are evenly spread over all.
        """
        for number in evenly_spaced(self._some(size).tolist(), limit):
            yield resized(self._picture(number), size)

    def _usable(self, size: int) -> NDArray[np.int64]:
        low, high = USABLE
        fits = (self._sides >= low * size) & (self._sides <= high * size)
        return np.flatnonzero(fits).astype(np.int64)

    def _some(self, size: int) -> NDArray[np.int64]:
        usable = self._usable(size)
        if not len(usable):
            raise TrainingError(f"{self._path} has no face of about {size} pixels")
        return usable

    def _picture(self, number: int) -> Bytes:
        if number not in self._kept:
            self._kept[number] = self._read(number)
        return self._kept[number]


_SidesAndReader = tuple[NDArray[np.int64], Callable[[int], Bytes]]
"""Sides of the faces, and a function that reads one by its number."""


def _from_pack(path: Path, split: str | None) -> _SidesAndReader:
    pack = Pack(path)
    numbers = [n for n, entry in enumerate(pack.pictures) if split in (None, entry.split)]
    sides = np.array([pack.pictures[n].size for n in numbers], np.int64)
    return sides, lambda number: pack.read(numbers[number])


def _from_array(path: Path, split: str | None) -> _SidesAndReader:
    try:
        with np.load(path) as arrays:
            faces = np.asarray(arrays["faces"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise TrainingError(f"{path} has no array of faces: {error}") from error
    if faces.ndim != 4 or faces.shape[3] != 3 or faces.dtype != np.uint8:
        raise TrainingError(f"{path}: faces must be uint8 (N, H, W, 3)")
    is_val = np.arange(len(faces)) % _VAL_EVERY == _VAL_EVERY - 1
    if split is not None:
        faces = faces[is_val if split == "val" else ~is_val]
    sides = np.full(len(faces), min(faces.shape[1:3]), np.int64)
    return sides, faces.__getitem__


@dataclass(frozen=True)
class Framing:
    """A square within the canonical crop, for faces that were cut out in another way."""

    scale: float
    """Side of the square, relative to that of the crop."""
    dy: float
    """Distance of the square's centre below that of the crop, relative to the side of the crop."""


NPZ_FRAME = Framing(scale=0.65, dy=-0.01)
"""Framing of the research array, whose faces are enlarged boxes of the detector of WIDER FACE. They
show a face from brow to chin and from ear to ear.

Mean faces were compared: among squares with scales of 0.4 to 1.2 and shifts of -0.12 to 0.2 within
the mean of 1,200 canonical crops, this one has the highest correlation of luma with the mean of the
array (0.90, and 0.48 for the whole crop)."""


def framed(picture: Bytes, size: int, frame: Framing = NPZ_FRAME) -> Bytes:
    """Cut uint8 (size, size, 3) out of a canonical crop, uint8 (S, S, 3)."""
    side = picture.shape[0]
    corner = np.array([0.5 - frame.scale / 2, 0.5 + frame.dy - frame.scale / 2]) * side
    cut = np.hstack([np.eye(2), -corner[:, None]])  # Edges lie at -0.5 before and after.
    matrix = compose(resize_matrix(size / (frame.scale * side)), cut)
    shown = warp(picture, matrix, size, size)
    result: Bytes = np.rint(shown.clip(0, 255)).astype(np.uint8)
    return result


class FramedFaces(Faces):
    """Faces of a pack that show the same part of the head as the research data."""

    def __init__(self, path: Path, split: str, *, kind: str | None = None) -> None:
        """Open the pack; see `Faces`."""
        super().__init__(path, split, kind=kind)
        self._whole = Faces(path, split, kind=kind)
        self._cut: dict[tuple[int, int], Bytes] = {}

    def count(self, size: int) -> int:
        """Return how many pictures are at least `size` pixels wide after cutting."""
        return self._whole.count(_side_before(size))

    def at(self, number: int, size: int) -> Bytes:
        """Return picture `number` of those counted, uint8 (S, S, 3); S is `size` or twice that."""
        if (number, size) not in self._cut:
            picture = self._whole.at(number, _side_before(size))
            # The cut is larger than needed where possible, so that rotation does not soften it.
            larger = size * min(2, int(picture.shape[0] * NPZ_FRAME.scale / size))
            self._cut[number, size] = framed(picture, larger)
        return self._cut[number, size]


def _side_before(size: int) -> int:
    """Return the minimum side of a picture in pixels before it is cut to `size`."""
    return math.ceil(size / NPZ_FRAME.scale)
