"""How like the face that was seen the enhanced one is, in the band that both hold."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import canonical_landmarks
from crsr_video.imaging.masks import face_mask
from crsr_video.types import Face

FloatPicture = NDArray[np.float32]

FINE, COARSE = 1 / 64, 1 / 12
"""Deviations, in crop sides, of the Gaussians between which a face's structure lies: coarser is
tint, which is the frame's own anyway; finer is mostly noise."""
CELLS = 64
"""To a side of the crop: as finely as structure is looked at."""
DETAIL = 1.0
"""Deviation in crop pixels of the Gaussian beyond which detail lies."""
NOISE_TOLERANCE = 1.35
"""Noise power is counted this many times, as where the crop's size is chosen."""
_FAINT = 0.004
"""RMS of luma, 1 being white: structure and detail fainter than this decide nothing."""
_FEATURE = 0.08
"""Deviation in crop sides of the surroundings of eyes, nose and mouth."""
_MEMORY = 0.8
"""Share of the former frames in what is compared: single frames are noisy."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sums over a face, of one frame or averaged over several."""

    seen: float
    """Power of the seen structure."""
    made: float
    """Power of the enhanced structure."""
    shared: float
    """Of their product."""
    seen_detail: float
    """Power of the seen detail beyond its noise."""
    made_detail: float

    @property
    def likeness(self) -> float:
        """Correlation of the structures, 1 for the same face."""
        floor = _FAINT**2
        return (self.shared + floor) / float(np.sqrt((self.seen + floor) * (self.made + floor)))

    @property
    def kept(self) -> float:
        """Power of the enhanced detail over that of the seen; above 1 where it is sharper."""
        return (self.made_detail + _FAINT**2) / (self.seen_detail + _FAINT**2)

    def mixed(self, before: "Comparison") -> "Comparison":
        """Averaged with the frames before."""
        old, new = _MEMORY, 1 - _MEMORY
        return Comparison(
            old * before.seen + new * self.seen,
            old * before.made + new * self.made,
            old * before.shared + new * self.shared,
            old * before.seen_detail + new * self.seen_detail,
            old * before.made_detail + new * self.made_detail,
        )


def compare(face: Face) -> Comparison | None:
    """How like the seen face the enhanced one is; None: it was not enhanced."""
    if face.crop is None or face.enhanced is None:
        return None
    size = face.crop.size
    seen = _through(_luma(face.crop.image), face.enhanced.size // size)
    made = _luma(np.stack([_shrunk(channel, size) for channel in face.enhanced.image]))
    cells = min(size, CELLS)
    weights = structure_weights(cells)
    a, b = _structure(_shrunk(seen, cells)), _structure(_shrunk(made, cells))
    mask = face_mask(size)
    mask = mask / mask.sum()
    fine, fine_made = _detail(seen), _detail(made)
    # Detail sits on few pixels, noise on all: the median tells the noise.
    noise = 1.4826 * float(np.median(np.abs(fine[mask > 0])))
    return Comparison(
        float((weights * a * a).sum()),
        float((weights * b * b).sum()),
        float((weights * a * b).sum()),
        max(0.0, float((mask * fine**2).sum()) - NOISE_TOLERANCE * noise**2),
        float((mask * fine_made**2).sum()),
    )


def _luma(image: FloatPicture) -> FloatPicture:
    """(3, S, S) to (S, S)."""
    luma: FloatPicture = np.tensordot(LUMA, image, 1)
    return luma


def _shrunk(picture: FloatPicture, size: int) -> FloatPicture:
    small: FloatPicture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return small


def _structure(picture: FloatPicture) -> FloatPicture:
    side = picture.shape[0]
    fine = cv2.GaussianBlur(picture, (0, 0), side * FINE)
    coarse = cv2.GaussianBlur(picture, (0, 0), side * COARSE)
    band: FloatPicture = fine - coarse
    return band


def _detail(picture: FloatPicture) -> FloatPicture:
    detail: FloatPicture = picture - cv2.GaussianBlur(picture, (0, 0), DETAIL)
    return detail


@lru_cache(maxsize=8)
def structure_weights(size: int) -> FloatPicture:
    """Where structure counts: eyes, nose and mouth, less so the rest of the face; sum 1."""
    y, x = np.mgrid[:size, :size]
    near = np.zeros((size, size))
    for px, py in canonical_landmarks(size):
        near += np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (_FEATURE * size) ** 2))
    weights = face_mask(size) * (0.2 + np.minimum(near, 1.0))
    normal: FloatPicture = (weights / weights.sum()).astype(np.float32)
    return normal


def _through(picture: FloatPicture, factor: int) -> FloatPicture:
    """A picture as it would be if it were enlarged and shrunk again: what no network changes."""
    kernel = there_and_back(factor)
    seen: FloatPicture = cv2.sepFilter2D(
        picture, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE
    )
    return seen


@lru_cache(maxsize=8)
def there_and_back(factor: int) -> FloatPicture:
    """Filter that a cubic enlargement and a box average amount to; (7,), sum 1."""
    impulse = np.zeros((1, 7), np.float32)
    impulse[0, 3] = 1.0
    wide = cv2.resize(impulse, (7 * factor, 1), interpolation=cv2.INTER_CUBIC)
    kernel: FloatPicture = wide.reshape(7, factor).mean(1)
    return kernel
