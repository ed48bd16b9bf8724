"""Batches of high-resolution faces. Each step draws its batch with its own random generator."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.imaging.colour import LUMA_WEIGHTS
from crsr_video.imaging.geometry import Matrix, compose
from crsr_video.training.appearance import iris_group, tone_group, vary_appearance
from crsr_video.training.degrade import FACTOR
from crsr_video.training.pack import SIZES, Pack, Prepared
from crsr_video.types import Bytes

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Tier:
    """One kind of batch."""

    face: int
    """Side of the whole LR face in pixels."""
    patch: int
    """Side in pixels of the LR patch that the network sees."""
    batch: int
    share: float


TIERS = (Tier(32, 32, 32, 0.3), Tier(64, 64, 8, 0.5), Tier(128, 64, 8, 0.2))
"""Batches of about equal work. Of the largest faces, the network sees patches, for speed."""

GREY = 0.04
"""Share of the pictures that become grey."""
LUMA = torch.tensor(LUMA_WEIGHTS)
"""Weights of red, green and blue in BT.601."""


class Faces:
    """The pictures of one split of a pack, decoded when they are needed."""

    def __init__(self, path: Path, split: str, *, kind: str | None = None) -> None:
        """Open the pack.

        Args:
            path: The file, or a folder that holds ``faces.pack``.
            split: "train" or "val".
            kind: Use only pictures of this kind, such as "real".

        Raises:
            TrainingError: The pack is damaged, or has no face of this split.
        """
        self._pack = Pack(path)
        entries = [
            (e.size, e.row, n)
            for n, e in enumerate(self._pack.pictures)
            if e.split == split and kind in (None, e.kind)
        ]
        if not entries:
            raise TrainingError(f"{path} has no faces of the split {split!r}")
        entries.sort()
        self._sizes = [size for size, _, _ in entries]
        self._numbers = [number for _, _, number in entries]
        self._balance = _balancing_weights([self._pack.pictures[n] for n in self._numbers])

    def count(self, size: int) -> int:
        """Return how many pictures are at least `size` pixels wide."""
        return len(self._sizes) - bisect_left(self._sizes, size)

    def draw(self, size: int, rng: np.random.Generator, *, balanced: bool = False) -> Bytes:
        """Return a random picture that is at least `size` pixels wide.

        Args:
            size: Least side in pixels.
            rng: Source of the choice.
            balanced: Draw rare combinations of skin tone and iris colour more often.
        """
        count = self.count(size)
        if not balanced:
            return self.at(int(rng.integers(count)), size)
        chances = self._balance[len(self._sizes) - count :]
        return self.at(int(rng.choice(count, p=chances / chances.sum())), size)

    def at(self, number: int, size: int) -> Bytes:
        """Return picture `number` of those at least `size` wide, smallest first, as it is stored.

        Raises:
            IndexError: There are fewer pictures than that.
        """
        if not 0 <= number < self.count(size):
            raise IndexError(number)
        number += len(self._sizes) - self.count(size)
        return self._pack.read(self._numbers[number])


def _balancing_weights(entries: Sequence[Prepared]) -> NDArray[np.float64]:
    """Return relative probabilities that make rare groups of skin and iris more frequent.

    They are the square roots of the probabilities for full balance. Full balance would show the few
    faces of rare groups so often that the network memorises them.
    """
    groups = [
        None
        if e.skin_ita is None or e.iris_lightness is None or e.iris_b is None
        else (tone_group(e.skin_ita), iris_group(e.iris_lightness, e.iris_b))
        for e in entries
    ]
    counts = Counter(groups)
    return np.array([counts[group] ** -0.5 for group in groups])


def choose_tier(faces: Faces, rng: np.random.Generator, tiers: tuple[Tier, ...] = TIERS) -> Tier:
    """Return a random tier among those that have pictures.

    Raises:
        TrainingError: No tier has pictures.
    """
    usable = [tier for tier in tiers if faces.count(tier.face * FACTOR)]
    if not usable:
        raise TrainingError(f"no face is large enough: {min(SIZES)} pixels are needed")
    shares = np.array([tier.share for tier in usable])
    return usable[int(rng.choice(len(usable), p=shares / shares.sum()))]


def batch(
    faces: Faces,
    tier: Tier,
    rng: np.random.Generator,
    *,
    photographs: Faces | None = None,
    varied: bool = False,
) -> Tensor:
    """Return random augmented targets, float32 (tier.batch, 3, 4 patch, 4 patch) in [0, 1].

    Args:
        faces: Faces to draw from.
        tier: Kind of batch.
        rng: Source of every random choice.
        photographs: Faces for the first half of the batch. About half of these are at least
            twice as wide as needed, if there are such photographs. Defaults to `faces`.
        varied: Balance and change skin tones and iris colours.
    """
    side, patch = tier.face * FACTOR, tier.patch * FACTOR
    stack = np.empty((tier.batch, patch, patch, 3), np.float32)
    for index, row in enumerate(stack):
        source, size = faces, side
        if photographs is not None and index < tier.batch // 2:
            source = photographs
            if rng.random() < 0.5 and photographs.count(2 * side):
                size = 2 * side
        picture = source.draw(size, rng, balanced=varied)
        if varied:
            picture = vary_appearance(picture, rng)
        row[:] = _patch(resized(vary_place(picture, rng), side), patch, rng)
    pictures = torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous().div_(255)
    return vary_light(pictures, rng)


def vary_place(picture: Bytes, rng: np.random.Generator) -> Bytes:
    """Mirror a picture half the time, and half the time rotate, scale and shift it a little.

    The other half stays as it is, because resampling softens a target.
    """
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    if rng.random() < 0.5:
        return np.ascontiguousarray(picture)
    side = picture.shape[0]
    result: Bytes = cv2.warpAffine(
        picture,
        random_similarity(side, rng),
        (side, side),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return result


def random_similarity(side: int, rng: np.random.Generator) -> Matrix:
    """Return a random small 2x3 transform about the centre of a square.

    It stays within 4 degrees, 6 % of scale and 3 % of shift: trackers misplace landmarks by about
    that much.
    """
    angle, scale = np.deg2rad(rng.uniform(-4, 4)), np.exp(rng.uniform(-0.06, 0.06))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    centre = (side - 1) / 2
    shift = rng.uniform(-0.03, 0.03, 2) * side + centre
    to_origin = np.array([[1.0, 0.0, -centre], [0.0, 1.0, -centre]])
    return compose(np.array([[c, -s, shift[0]], [s, c, shift[1]]]), to_origin)


def resized(picture: Bytes, side: int) -> Bytes:
    """Resize to (side, side, 3) by area to shrink, and bicubically to enlarge."""
    if picture.shape[:2] == (side, side):
        return picture
    how = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_CUBIC
    result: Bytes = cv2.resize(picture, (side, side), interpolation=how)
    return result


def evenly_spaced(items: Sequence[_Item], count: int | None) -> list[_Item]:
    """Return up to `count` evenly spaced items in their order, or all if `count` is None."""
    wanted = min(count or len(items), len(items))
    places = np.linspace(0, len(items) - 1, wanted).round().astype(int)
    return [items[place] for place in places]


def _patch(picture: Bytes, patch: int, rng: np.random.Generator) -> Bytes:
    room = picture.shape[0] - patch
    top, left = (int(v) for v in rng.integers(0, room + 1, 2)) if room else (0, 0)
    return picture[top : top + patch, left : left + patch]


def vary_light(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Change brightness, contrast and white balance of (N, 3, H, W) in [0, 1] a little.

    A few pictures become grey, because networks that have seen only colour tint black-and-white
    video.
    """
    n = len(pictures)
    gain = rng.uniform(0.85, 1.15, (n, 1, 1, 1)) * rng.uniform(0.95, 1.05, (n, 3, 1, 1))
    offset = rng.uniform(-0.06, 0.06, (n, 1, 1, 1)) + 0.5 - 0.5 * gain
    changed = pictures.mul(_tensor(gain)).add_(_tensor(offset)).clamp_(0, 1)
    grey = torch.from_numpy(rng.random(n) < GREY)
    luma = (changed[grey] * LUMA.view(3, 1, 1)).sum(1, keepdim=True)
    changed[grey] = luma.expand(-1, 3, -1, -1)
    return changed


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
