"""Scene cuts and camera motion, measured on thumbnails."""

from collections import deque
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.resampling import preview
from crsr_video.types import Frame

Luma = NDArray[np.float32]
"""A thumbnail: (height, width), levels of 255."""

LONGEST = 64
"""Longer side of a thumbnail in pixels."""
_ENOUGH_ROWS = 360
"""Rows or columns of the shorter side from which a thumbnail is made."""

# Measured on 40 clips: unlike scenes correlate below 0.68 in 95 of 100 cases; consecutive frames
# above 0.89 even when the camera is swung, and above 0.77 where frames were dropped.
_SAME_SCENE = 0.7
_SAME_SCENE_AFTER_JUMP = 0.82
"""Correlation of one scene after a sudden large change: such frames differ by lighting only."""
_SUDDEN = 10.0
"""Change over the usual one that is sudden."""
_LARGE = (20.0, 40.0)
"""Changes in levels between which the demand for correlation rises, if they are sudden."""
_LEAST_CHANGE = 5.0
"""Least change of a cut in levels; below, too little is there to tell scenes apart."""
_CHANGE_RATIO = 2.0
"""Least change of a cut over the mean of the recent changes."""
_RECENT_FRAMES = 12

_SURE_RESPONSE = 0.25
"""Response of the phase correlation, 0 to 1, from which a shift is accepted."""
_RESTING = 0.15
"""Pixels of the thumbnail; a camera that seems to move by less is at rest."""
_MAX_SHIFT = 0.25
"""Largest shift that is accepted, over the width of the picture."""
_NEW_ANCHOR = 0.06
"""Shift over the width of the picture from which a newer thumbnail becomes the anchor."""
_MIN_ECC = 0.8
"""Correlation from which a shift against the anchor is accepted."""
_ECC_SEARCH = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.003)
_MASK_EVERY = 4
"""Frames between two updates of the mask of what moves by itself."""
_MOVES_BY_ITSELF = 5.0
"""Levels by which something differs from what moves with the camera."""


def thumbnail(frame: Frame) -> Luma:
    """Return the upright luma thumbnail of a frame."""
    # Every second or third row of a large frame is enough, at a part of the time.
    step = max(1, min(frame.width, frame.height) // _ENOUGH_ROWS)
    return 255 * preview(frame, LONGEST, every=step)


class CutDetector:
    """Compares each thumbnail with the one before.

    A cut changes where things are and how bright they are by more than the frames before it did
    (as in PySceneDetect's AdaptiveDetector), and no shift undoes it, unlike a camera's motion.
    """

    def __init__(self) -> None:
        self._previous: Luma | None = None
        self._recent: deque[float] = deque(maxlen=_RECENT_FRAMES)

    def push(self, luma: Luma) -> bool:
        """Return whether this thumbnail begins a scene. The first one does."""
        previous, self._previous = self._previous, luma
        if previous is None or previous.shape != luma.shape:
            self._recent.clear()
            return True
        score = change(previous, luma)
        usual = _CHANGE_RATIO * float(np.mean(self._recent)) if self._recent else 0.0
        is_sudden = score * _CHANGE_RATIO > _SUDDEN * usual
        most = _SAME_SCENE_AFTER_JUMP if is_sudden else _SAME_SCENE
        wanted = float(np.interp(score, _LARGE, (_SAME_SCENE, most)))
        # The search for a shift takes longest, so it comes last.
        if score > max(_LEAST_CHANGE, usual) and correlation(previous, luma) < wanted:
            self._recent.clear()
            return True
        self._recent.append(score)
        return False

    def reset(self) -> None:
        """Forget all thumbnails."""
        self._previous = None
        self._recent.clear()


def change(a: Luma, b: Luma) -> float:
    """Return the difference of two pictures in levels.

    It is the geometric mean of the difference by place and of that of the histograms: the mean
    shift of brightness that turns one histogram into the other is the area between the cumulative
    histograms, whose inverses are the sorted pixels.
    """
    by_place = float(np.abs(a - b).mean())
    by_tone = float(np.abs(np.sort(a, None) - np.sort(b, None)).mean())
    return float(np.sqrt(by_place * by_tone))


def correlation(a: Luma, b: Luma) -> float:
    """Return the best correlation of the middle of one picture with any part of the other."""
    return max(_best_match(a, b), _best_match(b, a))


def _best_match(picture: Luma, other: Luma) -> float:
    rows, columns = other.shape
    y, x = rows // 4, columns // 4
    middle = other[y : rows - y, x : columns - x]
    if float(middle.std()) < 1.0:
        return 0.0  # A blank picture matches everything.
    return float(cv2.matchTemplate(picture, middle, cv2.TM_CCOEFF_NORMED).max())


def camera_shift(before: Luma, now: Luma) -> NDArray[np.float64]:
    """Return the motion of the picture between two frames, (x, y) over its width.

    Phase correlation finds the motion of the largest part that moves as one, mostly the
    background. The result is zero if no motion is clear, and for a camera at rest.
    """
    if before.shape != now.shape or min(before.shape) < 8:
        return np.zeros(2)
    # Copies, because OpenCV multiplies the window into its arguments.
    moved, response = cv2.phaseCorrelate(before.copy(), now.copy(), _window(before.shape[::-1]))
    width = before.shape[1]
    if response < _SURE_RESPONSE or np.abs(moved).max() > _MAX_SHIFT * width:
        return np.zeros(2)
    if np.hypot(*moved) < _RESTING:
        return np.zeros(2)
    over_width: NDArray[np.float64] = np.array(moved) / width
    return over_width


@lru_cache(maxsize=4)
def _window(size: tuple[int, int]) -> Luma:
    window: Luma = cv2.createHanningWindow(size, cv2.CV_32F)
    return window


class CameraPath:
    """The position of the camera since a scene began.

    It is measured against a thumbnail of some time ago, the anchor, which shows the slowest pan
    too, by maximising their correlation (Evangelidis and Psarakis, "Parametric image alignment
    using enhanced correlation coefficient maximization", 2008) over what has moved as one so far.
    """

    def __init__(self) -> None:
        self._anchor: Luma | None = None
        self._mask: NDArray[np.uint8] | None = None
        self._anchor_position = self._position = np.zeros(2)
        self._age = 0

    def push(self, luma: Luma) -> NDArray[np.float64]:
        """Take the next thumbnail and return the camera's position in its pixels, (x, y).

        What was at p in an earlier thumbnail is now at p and the difference of both positions.
        """
        moved = self._moved_since_anchor(luma)
        if moved is not None:
            self._position = self._anchor_position + moved
        if moved is None or np.abs(moved).max() > _NEW_ANCHOR * luma.shape[1]:
            self._anchor, self._mask, self._age = luma, None, 0
            self._anchor_position = self._position
        return self._position

    def _moved_since_anchor(self, luma: Luma) -> NDArray[np.float64] | None:
        """Return the motion since the anchor, or None if it is not clear."""
        if self._anchor is None or self._anchor.shape != luma.shape:
            return None
        start = np.eye(2, 3, dtype=np.float32)
        start[:, 2] = self._position - self._anchor_position
        try:
            likeness, found = cv2.findTransformECC(
                *(self._anchor, luma, start, cv2.MOTION_TRANSLATION, _ECC_SEARCH, self._mask, 1)
            )
        except cv2.error:  # It does not converge, or the pictures are blank.
            return None
        if likeness < _MIN_ECC:
            return None
        if self._age % _MASK_EVERY == 0:
            difference = np.abs(_aligned(luma, found) - self._anchor)
            others = difference > max(_MOVES_BY_ITSELF, 3 * float(np.median(difference)))
            self._mask = np.where(others, 0, 255).astype(np.uint8)
        self._age += 1
        moved: NDArray[np.float64] = found[:, 2].astype(np.float64)
        return moved


def _aligned(luma: Luma, found: NDArray[np.float32]) -> Luma:
    """Return a thumbnail as it would be from the anchor's position."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = luma.shape[::-1]
    aligned: Luma = cv2.warpAffine(luma, found, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return aligned
