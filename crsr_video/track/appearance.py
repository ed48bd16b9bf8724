"""What a face looks like, coarsely: enough to tell the people of one scene apart.

A thumbnail of head and collar without its mean brightness, as a unit vector. On real clips the
same person a second later correlates by 0.55 and more in 95 of 100 cases, different people by less
than 0.5.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.track.view import FloatPicture

Appearance = NDArray[np.float32]
"""(SIDE * SIDE * 3,), of unit length unless the picture is blank."""

SIDE = 16
"""Of the thumbnail in pixels."""
_BLANK = 0.2
"""Length of a vector that is all but noise: of contrast 0.02 all over the head."""
_RATE = (0.02, 0.1)
"""How fast what is known of a face follows what is seen of it: covered, and in plain view."""
_COVERED = (0.4, 0.7)
"""Likeness at which a face counts as covered wholly, and not at all."""


def _head() -> NDArray[np.float32]:
    """How much each pixel says of the person and not of the place; (SIDE, SIDE, 1)."""
    across = (np.arange(SIDE) - (SIDE - 1) / 2) / (SIDE / 2)
    weight = np.exp(-0.5 * ((across / 0.4) ** 2 + (across[:, None] / 0.5) ** 2))
    return weight[..., None].astype(np.float32)


_HEAD = _head()


def appearance(picture: FloatPicture) -> Appearance:
    """Of a picture of one face, float32 (H, W, 3) RGB, as the mesh model is shown it."""
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    mean = float((small * _HEAD).sum() / (3 * _HEAD.sum()))
    vector = ((small - mean) * np.sqrt(_HEAD)).ravel()
    result: Appearance = vector / (float(np.linalg.norm(vector)) + _BLANK)
    return result


def likeness(a: Appearance, b: Appearance) -> float:
    """Of two appearances: 1 is the same, 0 unrelated."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))


def in_view(like: float) -> float:
    """How far a face can be in plain view that is so much like itself; 0 to 1."""
    return float(np.interp(like, _COVERED, (0.0, 1.0)))


def learnt(known: Appearance, seen: Appearance) -> Appearance:
    """What is known of a face after another look; a hand before it is hardly learnt."""
    rate = float(np.interp(likeness(known, seen), _COVERED, _RATE))
    result: Appearance = known + np.float32(rate) * (seen - known)
    return result
