"""Which faces count, and which shown face is which true one.

A face that the tracker shows is the true one if their boxes overlap by 0.4 (shared over joint
area), or if their centres are less than half a face width apart and neither is twice as large.

A true face is *due* if at least half of it is to be seen and three quarters of it lie in the frame.
One that is covered (less than a tenth to be seen, though in the frame) is not there: to show it is
wrong. Everything between, and faces narrower than 16 pixels, may be shown or not.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crsr_video.evaluation.tracking.layers import Truth
from crsr_video.types import Face

CLASSES: tuple[tuple[float, float], ...] = ((16, 24), (24, 32), (32, 64), (64, np.inf))
"""Face widths in pixels: from, and to below."""
LEAST_WIDTH = 16.0
LEAST_VISIBLE, LEAST_INSIDE = 0.5, 0.75
"""Shares from which a face is due."""
COVERED = 0.1
"""Share to be seen below which a face in the frame is not there."""
_OVERLAP, _APART, _LARGER = 0.4, 0.5, 2.0


def is_due(face: Truth) -> bool:
    """Whether it must be found."""
    clear = face.visible >= LEAST_VISIBLE and face.inside >= LEAST_INSIDE
    return clear and face.width >= LEAST_WIDTH


def is_hidden(face: Truth) -> bool:
    """Whether it must not be shown: something is in front of it."""
    return face.visible < COVERED and face.inside >= LEAST_INSIDE


def size_class(width: float) -> int | None:
    """Index into `CLASSES`; None: too small to count."""
    return next((n for n, (low, high) in enumerate(CLASSES) if low <= width < high), None)


def is_shown(face: Face) -> bool:
    """Whether the later stages would use it."""
    return face.presence > 0 and face.skipped is None


def nearness(truths: Sequence[Truth], faces: Sequence[Face]) -> NDArray[np.float64]:
    """How well every true face (row) and shown face (column) agree: 0 if they are not the same.

    Otherwise the overlap of the boxes, and how close the centres are, up to 2 in all.
    """
    a = np.array([t.box for t in truths]).reshape(-1, 1, 4)
    b = np.array([f.box for f in faces]).reshape(1, -1, 4)
    shared = np.clip(np.minimum(a, b)[..., 2:] - np.maximum(a, b)[..., :2], 0, None).prod(-1)
    joint = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    overlap = shared / np.maximum(joint, 1e-9)
    between = np.hypot(*np.moveaxis((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2, -1, 0))
    apart = between / np.array([t.width for t in truths]).reshape(-1, 1)
    areas = [np.maximum((box[..., 2:] - box[..., :2]).prod(-1), 1e-9) for box in (a, b)]
    alike = np.abs(np.log(areas[0] / areas[1])) < 2 * np.log(_LARGER)
    same = (overlap >= _OVERLAP) | ((apart < _APART) & alike)
    return np.where(same, overlap + 1 / (1 + apart), 0.0)
