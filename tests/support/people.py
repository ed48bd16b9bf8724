"""Drawn people, and a stand-in for the model that separates them from the background."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Matrix, crop_from_frame
from crsr_video.types import Face, Frame

SIDE = 128
"""Side of the stand-in's answers."""

Ellipse = tuple[tuple[float, float], tuple[float, float]]
"""Centre and radii, in fractions of a canonical crop."""

BALD: tuple[Ellipse, ...] = (((0.5, 0.53), (0.28, 0.36)), ((0.5, 0.95), (0.16, 0.3)))
"""A head without hair, and its neck."""
VOLUMINOUS_HAIR: tuple[Ellipse, ...] = (*BALD, ((0.5, 0.4), (0.44, 0.46)))
HAT: tuple[Ellipse, ...] = (*BALD, ((0.5, 0.12), (0.3, 0.2)), ((0.5, 0.26), (0.42, 0.06)))
HAND: tuple[Ellipse, ...] = (*BALD, ((0.76, 0.72), (0.14, 0.18)))


def silhouette(frame: Frame, face: Face, parts: Sequence[Ellipse]) -> NDArray[np.float32]:
    """Return a person's silhouette in a frame, 1 inside and 0 outside; (H, W)."""
    m = crop_from_frame(face.landmarks, 1, float(frame.sample_aspect))
    y, x = np.mgrid[: frame.height, : frame.width]
    u, v = (m[i, 0] * x + m[i, 1] * y + m[i, 2] + 0.5 for i in (0, 1))
    inside = np.zeros(u.shape, np.bool_)
    for (cx, cy), (rx, ry) in parts:
        inside |= ((u - cx) / rx) ** 2 + ((v - cy) / ry) ** 2 < 1
    return inside.astype(np.float32)


class DrawnPeople:
    """Finds the people that were drawn, and counts how often it was asked."""

    def __init__(self, picture: NDArray[np.float32]) -> None:
        self.picture = picture
        self.runs = 0
        self.closed = False

    def segment(self, frame: Frame, square_from_frame: Matrix) -> NDArray[np.float32]:
        """Return the drawn picture, cut to the square."""
        assert self.picture.shape == (frame.height, frame.width)
        self.runs += 1
        matrix = SIDE * square_from_frame - [[0, 0, 0.5], [0, 0, 0.5]]
        return np.asarray(cv2.warpAffine(self.picture, matrix, (SIDE, SIDE)), np.float32)

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
