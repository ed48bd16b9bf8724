"""Frames from arrays, a face that moves, and tracks made by hand."""

from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from crsr_video.track.detection import Detection
from crsr_video.track.landmarks import REGION_PER_FACE, Observation
from crsr_video.track.regions import Region, UprightView, square
from crsr_video.track.tracks import Track
from crsr_video.types import Frame, PixelLayout

RGB24 = PixelLayout("rgb24", "rgb", 8, full_range=True)
FACE_WIDTH = 88.0
"""Of the astronaut's, in pixels of the picture as shipped: chosen by eye, ear to ear."""


def frame_of(
    rgb: NDArray[np.uint8], pts: int = 0, rotation: int = 0, aspect: Fraction = Fraction(1)
) -> Frame:
    planes = tuple(np.ascontiguousarray(rgb[..., c]) for c in range(3))
    return Frame(planes, RGB24, pts, Fraction(1, 25), rotation, aspect)


def astronaut(
    dx: float = 0.0, dy: float = 0.0, width: int = 320, height: int = 240
) -> NDArray[np.uint8]:
    """Return a picture with a face at about (160, 105) + (dx, dy), 66 pixels wide."""
    matrix = np.array([[0.75, 0, dx - 8.0], [0, 0.75, dy + 13.0]])
    return cv2.warpAffine(
        data.astronaut(), matrix, (width, height), flags=cv2.INTER_AREA, borderMode=1
    )


def view_sized(width: int, height: int) -> UprightView:
    return UprightView(float(width), float(height), np.eye(2, 3), np.eye(2, 3))


def region_at(x: float, y: float, size: float = 60.0) -> Region:
    side = size * REGION_PER_FACE
    return square(x, y, side)


def detection_at(x: float, y: float, size: float = 60.0, score: float = 0.9) -> Detection:
    """Return a detection whose region is that of a mesh of the given size."""
    half = size / 1.6 * 1.5 / 2
    box = np.array([x - half, y - half, x + half, y + half])
    return Detection(box, np.array([[x - 10, y], [x + 10, y]]), score)


def observation_at(
    x: float,
    y: float,
    size: float = 60.0,
    face_score: float = 1.0,
    yaw: float = 0.0,
    seen_in: Region | None = None,
    person: int = 0,
) -> Observation:
    """Return an observation of a face. Faces of one `person` look alike."""
    # In the shape of geometry.TEMPLATE about its middle, a face being 1 / 1.9 of a crop wide.
    shape = np.array([[-0.23, -0.1], [0.23, -0.1], [0, 0.15], [-0.2, 0.36], [0.2, 0.36]])
    box = np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2])
    region = region_at(x, y, size)
    seen = np.eye(4, 768, dtype=np.float32)[person]
    return Observation(shape * size + (x, y), box, face_score, yaw, region, seen_in or region, seen)


def track_along(
    path: dict[int, tuple[float, float]], identity: int = 1, size: float = 60.0
) -> Track:
    track = Track(identity, detector_score=0.9, confirmed=True)
    for index, (x, y) in path.items():
        track.add(index, observation_at(x, y, size))
    return track
