"""Hand-made true and tracked faces, and a head with a dot on each landmark."""

import numpy as np

from crsr_video.evaluation.tracking.drawing import Truth
from crsr_video.evaluation.tracking.scenes import DrawnHead, person_from
from crsr_video.imaging.geometry import TEMPLATE, canonical_landmarks
from crsr_video.types import Face


def points_at(x, y, width):
    return (TEMPLATE - (0.5, 0.575)) * 1.9 * width + (x, y)


def box_at(x, y, width):
    half = width / 2
    return (x - half, y - half, x + half, y + half)


def true(x, y=100.0, width=40.0, *, face_id=1, visible=1.0, inside=1.0) -> Truth:
    return Truth(face_id, box_at(x, y, width), points_at(x, y, width), width, visible, inside)


def tracked(x, y=100.0, width=40.0, *, track=7, presence=1.0, skipped=None) -> Face:
    box = box_at(x, y, width)
    return Face(track, points_at(x, y, width), box, 1.0, presence=presence, skipped=skipped)


def dotted(size: int = 256) -> DrawnHead:
    """Return a grey head with a black dot on each landmark, a fifteenth of the face wide."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1)
    crop = np.full((size, size, 3), 190.0)
    for point in canonical_landmarks(size):
        near = np.linalg.norm(grid - point, axis=-1)
        crop -= 180 * np.clip(size / 30 - near + 0.5, 0, 1)[..., None]
    return person_from(crop.astype(np.uint8), "dots")
