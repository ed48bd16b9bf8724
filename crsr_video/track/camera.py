"""How the camera moved between two frames, from their thumbnails: a shaken hand moves all faces."""

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


def shift(before: Luma, now: Luma) -> NDArray[np.float64]:
    """Motion of the picture as a whole, (x, y) over its width; zero where none is plain.

    By phase correlation, which the largest part that moves as one wins: mostly the background.
    """
    if before.shape != now.shape or min(before.shape) < 8:
        return np.zeros(2)
    window = cv2.createHanningWindow(before.shape[::-1], cv2.CV_32F)
    # Copies, since OpenCV multiplies the window into its arguments.
    moved, response = cv2.phaseCorrelate(before.copy(), now.copy(), window)
    over_width: NDArray[np.float64] = np.array(moved) / before.shape[1]
    if np.hypot(*moved) < _RESTING or response < _SURE or np.abs(over_width).max() > _FARTHEST:
        return np.zeros(2)
    return over_width
