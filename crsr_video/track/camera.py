"""How the camera moved between two frames, from their thumbnails: a shaken hand moves all faces."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.track.cuts import Luma

_SURE = 0.25
"""Response of the correlation, 0 to 1, from which a shift is believed."""
_RESTING = 0.15
"""Pixels of the thumbnail: a camera that seems to move by less is at rest."""
_FARTHEST = 0.25
"""Largest shift believed, over the picture's width."""
_AWAY = 0.06
"""Shift over the picture's width from which a newer thumbnail is measured against."""
_ALIKE = 0.8
"""Correlation from which such a shift is believed."""
_SEARCH = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.003)
_MASKED_EVERY = 4
"""Frames between two looks at what moves by itself, which is left out."""
_APART = 5.0
"""Levels by which what moves by itself differs from what moves with the camera."""


def shift(before: Luma, now: Luma) -> NDArray[np.float64]:
    """Motion of the picture as a whole, (x, y) over its width; zero where none is plain.

    By phase correlation, which the largest part that moves as one wins: mostly the background.
    """
    moved = _moved(before, now)
    if moved is None or np.hypot(*moved) < _RESTING:
        return np.zeros(2)
    over_width: NDArray[np.float64] = moved / before.shape[1]
    return over_width


class Camera:
    """Where the camera has been turned to since a scene began.

    Measured against a thumbnail of some time ago, which shows the slowest pan too, by maximising
    their correlation (Evangelidis and Psarakis, "Parametric image alignment using enhanced
    correlation coefficient maximization", 2008) over what has moved as one so far.
    """

    def __init__(self) -> None:
        self._anchor: Luma | None = None
        self._mask: NDArray[np.uint8] | None = None
        self._home = self._place = np.zeros(2)
        self._age = 0

    def push(self, luma: Luma) -> NDArray[np.float64]:
        """Take the next thumbnail.

        Returns: (x, y) in the thumbnail's pixels: what was at p in an earlier one is now at p and
                 the difference of both places.
        """
        moved = self._measured(luma)
        if moved is not None:
            self._place = self._home + moved
        if moved is None or np.abs(moved).max() > _AWAY * luma.shape[1]:
            self._anchor, self._mask, self._home, self._age = luma, None, self._place, 0
        return self._place

    def _measured(self, luma: Luma) -> NDArray[np.float64] | None:
        """Motion since the anchor; None where none is plain."""
        if self._anchor is None or self._anchor.shape != luma.shape:
            return None
        start = np.eye(2, 3, dtype=np.float32)
        start[:, 2] = self._place - self._home
        try:
            likeness, found = cv2.findTransformECC(
                *(self._anchor, luma, start, cv2.MOTION_TRANSLATION, _SEARCH, self._mask, 1)
            )
        except cv2.error:  # It does not converge, or there is nothing to see.
            return None
        if likeness < _ALIKE:
            return None
        if self._age % _MASKED_EVERY == 0:
            away = np.abs(_shown(luma, found) - self._anchor)
            others = away > max(_APART, 3 * float(np.median(away)))
            self._mask = np.where(others, 0, 255).astype(np.uint8)
        self._age += 1
        moved: NDArray[np.float64] = found[:, 2].astype(np.float64)
        return moved


def _shown(luma: Luma, found: NDArray[np.float32]) -> Luma:
    """A thumbnail as it would be from the anchor's place."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = luma.shape[::-1]
    shown: Luma = cv2.warpAffine(luma, found, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return shown


def _moved(before: Luma, now: Luma) -> NDArray[np.float64] | None:
    """Motion of the picture as a whole, (x, y) in pixels; None where none is plain."""
    if before.shape != now.shape or min(before.shape) < 8:
        return None
    # Copies, since OpenCV multiplies the window into its arguments.
    moved, response = cv2.phaseCorrelate(before.copy(), now.copy(), _window(before.shape[::-1]))
    if response < _SURE or np.abs(moved).max() > _FARTHEST * before.shape[1]:
        return None
    return np.array(moved)


@lru_cache(maxsize=4)
def _window(size: tuple[int, int]) -> Luma:
    window: Luma = cv2.createHanningWindow(size, cv2.CV_32F)
    return window
