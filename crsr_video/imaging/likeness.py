"""Similarity of two pictures of a face, in the frequency band that both contain."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from crsr_video.imaging.geometry import canonical_landmarks
from crsr_video.imaging.masks import face_mask
from crsr_video.imaging.noise import deviation, power_beyond
from crsr_video.imaging.operations import Operations, Pictures
from crsr_video.types import FloatPicture

_FINE, _COARSE = 1 / 64, 1 / 12
"""Standard deviations, in crop sides, of the two Gaussians whose difference is a face's structure.
Coarser variation is tint, which the result takes from the frame. Finer variation is mostly noise.
"""
_CELLS = 64
"""Largest side of the pictures in which structure is compared."""
_DETAIL = 1.0
"""Standard deviation, in crop pixels, of the Gaussian blur. What it removes is the detail."""
_FAINT = 0.004
"""RMS of luma, where 1 is white. Structure and detail fainter than this have little influence."""
_FEATURE = 0.08
"""Standard deviation, in crop sides, of the weight around the eyes, the nose and the mouth."""
_MEMORY = 0.8
"""Share of earlier frames in a running average. It is used because single frames are noisy."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Power of structure and detail over a face, in one frame or averaged over several."""

    seen: float
    """Power of the structure in the original crop."""
    made: float
    """Power of the structure in the enhanced crop."""
    shared: float
    """Mean product of the structures in the original and in the enhanced crop."""
    seen_detail: float
    """Power of the detail in the original crop, without its noise."""
    made_detail: float
    """Power of the detail in the enhanced crop."""
    seen_fine: float
    """Power of the detail in the original crop, including its noise."""

    @property
    def likeness(self) -> float:
        """Correlation of the structures, 1 for the same face."""
        floor = _FAINT**2
        return (self.shared + floor) / float(np.sqrt((self.seen + floor) * (self.made + floor)))

    @property
    def kept(self) -> float:
        """Power of the enhanced detail over that of the original; above 1 if it is sharper."""
        return (self.made_detail + _FAINT**2) / (self.seen_detail + _FAINT**2)

    @property
    def added(self) -> float:
        """RMS of the enhanced detail over that of the original including its noise."""
        floor = _FAINT**2
        return float(np.sqrt((self.made_detail + floor) / (self.seen_fine + floor)))

    def averaged(self, before: "Comparison", memory: float = _MEMORY) -> "Comparison":
        """Return the running average of this frame and the frames before it.

        Args:
            before: The running average so far.
            memory: Share of the earlier frames.
        """
        old, new = memory, 1 - memory
        return Comparison(
            old * before.seen + new * self.seen,
            old * before.made + new * self.made,
            old * before.shared + new * self.shared,
            old * before.seen_detail + new * self.seen_detail,
            old * before.made_detail + new * self.made_detail,
            old * before.seen_fine + new * self.seen_fine,
        )


def compare(
    crops: Sequence[Any], enhanced: Sequence[Any], operations: Operations
) -> list[Comparison]:
    """Compare enhanced faces with the crops that they were made from.

    Args:
        crops: Pictures (3, S, S), RGB in [0, 1].
        enhanced: The enhanced pictures (3, f * S, f * S).
        operations: Operations on the device that holds the pictures.
    """
    kinds = [(crop.shape[-1], large.shape[-1]) for crop, large in zip(crops, enhanced, strict=True)]
    found: dict[int, Comparison] = {}
    for indices in operations.batches(kinds, [large for _, large in kinds]):
        figures = _figures(
            operations.stack([crops[i] for i in indices]),
            operations.stack([enhanced[i] for i in indices]),
            operations,
        )
        found.update(zip(indices, (Comparison(*row) for row in figures), strict=True))
    return [found[index] for index in range(len(kinds))]


def _figures(crops: Pictures, enhanced: Pictures, operations: Operations) -> list[list[float]]:
    """Return the fields of a `Comparison` for each face."""
    size = crops.shape[-1]
    factor = enhanced.shape[-1] // size
    seen = operations.filter(operations.luma(crops), enlarge_and_shrink_kernel(factor))
    made = operations.luma(operations.resize(enhanced, size, "area"))
    cells = min(size, _CELLS)
    weights = operations.constant(structure_weights, cells)
    a, b = (_structure(operations.resize(x, cells, "area"), operations) for x in (seen, made))
    mask = operations.constant(_mask_shares, size)
    fine, fine_made = (x - operations.gaussian_blur(x, _DETAIL) for x in (seen, made))
    noise = deviation(operations.medians(abs(fine), operations.constant(_mask_places, size)))
    power = operations.sums(mask * fine**2)
    columns = [
        operations.sums(weights * a * a),
        operations.sums(weights * b * b),
        operations.sums(weights * a * b),
        power_beyond(power, noise).clip(0),
        operations.sums(mask * fine_made**2),
        power,
    ]
    rows: list[list[float]] = operations.fetch(columns).tolist()
    return rows


def _structure(pictures: Pictures, operations: Operations) -> Pictures:
    side = pictures.shape[-1]
    fine, coarse = (operations.gaussian_blur(pictures, side * share) for share in (_FINE, _COARSE))
    return fine - coarse


@lru_cache(maxsize=8)
def _mask_shares(size: int) -> FloatPicture:
    mask = face_mask(size)
    shares: FloatPicture = mask / mask.sum()
    return shares


@lru_cache(maxsize=8)
def _mask_places(size: int) -> FloatPicture:
    """Return the flat indices of the samples inside the face mask."""
    return np.flatnonzero(face_mask(size) > 0).astype(np.float32)


@lru_cache(maxsize=8)
def structure_weights(size: int) -> FloatPicture:
    """Return weights with the sum 1, which are highest around the eyes, the nose and the mouth."""
    y, x = np.mgrid[:size, :size]
    near = np.zeros((size, size))
    for px, py in canonical_landmarks(size):
        near += np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (_FEATURE * size) ** 2))
    weights = face_mask(size) * (0.2 + np.minimum(near, 1.0))
    normal: FloatPicture = (weights / weights.sum()).astype(np.float32)
    return normal


@lru_cache(maxsize=8)
def enlarge_and_shrink_kernel(factor: int) -> FloatPicture:
    """Return the filter equivalent to a cubic enlargement and an area average; (7,), sum 1.

    Applied to a crop, it gives what the comparison would see if no network had changed the crop.
    """
    impulse = np.zeros((1, 7), np.float32)
    impulse[0, 3] = 1.0
    wide = cv2.resize(impulse, (7 * factor, 1), interpolation=cv2.INTER_CUBIC)
    kernel: FloatPicture = wide.reshape(7, factor).mean(1)
    return kernel


def difference(ours: Pictures, others: Pictures, operations: Operations) -> Pictures:
    """Return the difference of two pictures for each pixel, in the channel with the largest one.

    Args:
        ours: (N, 3, S, S).
        others: Pictures of the same shape.
        operations: Operations on the device that holds the pictures.

    Returns:
        (N, 1, S, S).
    """
    return operations.largest_channel(abs(ours - others))


def agreement(differences: Pictures, tolerance: float, operations: Operations) -> Pictures:
    """Return for each pixel how far two pictures of a face show the same thing, from 0 to 1.

    Args:
        differences: Differences of the two pictures, see `difference`.
        tolerance: Difference at which the result is 1/e, where 1 is white.
        operations: Operations on the device that holds the pictures.
    """
    return operations.exponential(-((operations.box_blur(differences) / tolerance) ** 2))
