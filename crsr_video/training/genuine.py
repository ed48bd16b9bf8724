"""Batches of genuine low-resolution faces: harvested ones, or an array of them.

An array is a ``.npz`` file with `faces`, uint8 (N, H, W, 3) RGB, as research data comes; every
tenth of it is for validation. A harvested pack says itself which face is for what.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.imaging.geometry import compose, resize_matrix
from crsr_video.imaging.warping import warp
from crsr_video.training.pack import Pack

Bytes = NDArray[np.uint8]

USABLE = (0.6, 1.5)
"""Native sides that serve a size, over that size: beyond, resampling would change too much."""
_VAL_EVERY = 10


class Genuine:
    """Genuine faces of one split, or of all; decoded once, then kept: they are small."""

    def __init__(self, path: Path, split: str | None = None) -> None:
        """Open them.

        Args:   path: a pack (or the folder it is in), or an ``.npz`` file.
                split: train or val; None: both.
        Raises: TrainingError: no such faces, or they are damaged.
        """
        self._path = path
        self._sides, self._read = (
            _from_array(path, split) if path.suffix == ".npz" else _from_pack(path, split)
        )
        if not len(self._sides):
            raise TrainingError(f"{path} holds no faces of the split {split!r}")
        self._kept: dict[int, Bytes] = {}

    def count(self, size: int) -> int:
        """How many faces serve networks whose input is `size` pixels wide."""
        return len(self._serving(size))

    def batch(self, size: int, n: int, rng: np.random.Generator) -> Tensor:
        """Random faces, half of them mirrored; float32 (n, 3, size, size) in [0, 1].

        Raises: TrainingError: there are none of about that size.
        """
        serving = self._some(size)
        chosen = serving[rng.integers(len(serving), size=n)]
        pictures = [resampled(self._picture(int(number)), size) for number in chosen]
        mirrored = rng.random(n) < 0.5
        stack = np.stack([p[:, ::-1] if m else p for p, m in zip(pictures, mirrored, strict=True)])
        return torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous().float().div_(255)

    def all(self, size: int, limit: int | None = None) -> Iterator[Bytes]:
        """Yield each face once, always in the same order; uint8 (size, size, 3) RGB.

        Args:   limit: so many at the most, spread evenly over all.
        Raises: TrainingError: there are none of about that size.
        """
        serving = self._some(size)
        count = min(limit or len(serving), len(serving))
        for place in np.linspace(0, len(serving) - 1, count).round().astype(int):
            yield resampled(self._picture(int(serving[place])), size)

    def _serving(self, size: int) -> NDArray[np.int64]:
        low, high = USABLE
        fits = (self._sides >= low * size) & (self._sides <= high * size)
        return np.flatnonzero(fits).astype(np.int64)

    def _some(self, size: int) -> NDArray[np.int64]:
        serving = self._serving(size)
        if not len(serving):
            raise TrainingError(f"{self._path} holds no face of about {size} pixels")
        return serving

    def _picture(self, number: int) -> Bytes:
        if number not in self._kept:
            self._kept[number] = self._read(number)
        return self._kept[number]


Source = tuple[NDArray[np.int64], Callable[[int], Bytes]]
"""Side of each face, and what reads one by its number."""


def _from_pack(path: Path, split: str | None) -> Source:
    pack = Pack(path)
    numbers = [n for n, entry in enumerate(pack.pictures) if split in (None, entry.split)]
    sides = np.array([pack.pictures[n].size for n in numbers], np.int64)
    return sides, lambda number: pack.read(numbers[number])


def _from_array(path: Path, split: str | None) -> Source:
    try:
        with np.load(path) as arrays:
            faces = np.asarray(arrays["faces"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise TrainingError(f"{path} holds no array of faces: {error}") from error
    if faces.ndim != 4 or faces.shape[3] != 3 or faces.dtype != np.uint8:
        raise TrainingError(f"{path}: faces must be uint8 (N, H, W, 3)")
    is_val = np.arange(len(faces)) % _VAL_EVERY == _VAL_EVERY - 1
    if split is not None:
        faces = faces[is_val if split == "val" else ~is_val]
    sides = np.full(len(faces), min(faces.shape[1:3]), np.int64)
    return sides, faces.__getitem__


def resampled(picture: Bytes, size: int) -> Bytes:
    """To (size, size, 3): by area when it shrinks, cubic when it grows."""
    if picture.shape[:2] == (size, size):
        return picture
    shrinks = size < picture.shape[0]
    result: Bytes = cv2.resize(
        picture, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    return result


@dataclass(frozen=True)
class Framing:
    """A square within the canonical crop, for data that is cut out otherwise."""

    scale: float
    """Its side over the crop's."""
    dy: float
    """How far its middle lies below the crop's, in sides of the crop."""


NPZ_FRAME = Framing(scale=0.65, dy=-0.01)
"""How the research array (detector's boxes of WIDER FACE, enlarged a little) shows faces: from
brow to chin and ear to ear, hair and neck cut off.

Found by comparing mean faces: of squares within the mean of 1,200 canonical crops, scales 0.4 to
1.2 and shifts -0.12 to 0.2, this is the most like the mean of the array (correlation of luma 0.90
about the middle; the whole crop has 0.48)."""


def framed(picture: Bytes, size: int, frame: Framing = NPZ_FRAME) -> Bytes:
    """A canonical crop, uint8 (S, S, 3), cut out like other data; uint8 (size, size, 3)."""
    side = picture.shape[0]
    corner = np.array([0.5 - frame.scale / 2, 0.5 + frame.dy - frame.scale / 2]) * side
    cut = np.hstack([np.eye(2), -corner[:, None]])  # edges lie at -0.5 before and after
    matrix = compose(resize_matrix(size / (frame.scale * side)), cut)
    shown = warp(picture, matrix, size, size)
    result: Bytes = np.rint(shown.clip(0, 255)).astype(np.uint8)
    return result
