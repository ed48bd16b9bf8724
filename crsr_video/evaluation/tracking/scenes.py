"""Descriptions of scenes, and the pose of every face and occluder in each frame.

Lengths are in frame pixels, times in frames, and tilts in degrees. A positive tilt turns a head
clockwise.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from crsr_video.evaluation.tracking.people import OVAL
from crsr_video.imaging.geometry import FACE_WIDTHS_PER_CROP, Matrix


@dataclass(frozen=True, slots=True)
class Key:
    """Pose of a layer at one time. Between two keys, all values change linearly."""

    at: float
    x: float
    """Position of the centre."""
    y: float
    width: float
    """Width of the face, or of the occluder."""
    tilt: float = 0.0


@dataclass(frozen=True, slots=True)
class Sway:
    """A small periodic motion around the path."""

    x: float = 0.0
    """Amplitude of x. `y` and `tilt` are amplitudes too."""
    y: float = 0.0
    tilt: float = 0.0
    period: float = 60.0
    phase: float = 0.0
    """Phase as a fraction of the period."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Pose of a layer in one frame."""

    x: float
    y: float
    width: float
    tilt: float


@dataclass(frozen=True, slots=True)
class Actor:
    """One moving face."""

    id: int
    """Unique in the scene. The same person has another ID after a cut."""
    person: int
    """Index into the cast, modulo its length."""
    keys: tuple[Key, ...]
    sway: Sway = Sway()


@dataclass(frozen=True, slots=True)
class Occluder:
    """Something that passes in front of the earlier layers of the shot."""

    keys: tuple[Key, ...]
    height: float
    """Height divided by width."""
    look: Literal["hand", "wall"]
    """An ellipse of skin colour, or a board that shows another part of the background."""
    sway: Sway = Sway()


@dataclass(frozen=True, slots=True)
class Shot:
    """The frames between two cuts."""

    start: int
    layers: tuple[Actor | Occluder, ...]
    """Faces and occluders, from back to front."""
    backdrop: int = 0
    shake: float = 0.0
    """Amplitude of the shake of a hand-held camera."""
    pan: tuple[float, float] = (0.0, 0.0)
    """Motion of the whole picture per frame."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One clip."""

    name: str
    shots: tuple[Shot, ...]
    frames: int = 90
    size: tuple[int, int] = (1920, 1080)
    """Width and height."""
    noise: float = 1.5
    """Standard deviation of sensor noise, on a scale of 255."""
    blur: float = 0.0
    """Standard deviation of the blur of the lens."""

    def shot(self, index: int) -> Shot:
        """Return the shot that contains a frame."""
        return [shot for shot in self.shots if shot.start <= index][-1]


def pose(what: Actor | Occluder, shot: Shot, index: int) -> Pose:
    """Return the pose of a layer in a frame, including the motion of the camera."""
    times = [key.at for key in what.keys]
    x, y, width, tilt = (
        float(np.interp(index, times, [getattr(key, name) for key in what.keys]))
        for name in ("x", "y", "width", "tilt")
    )
    sway, turn = what.sway, 2 * np.pi * (index / what.sway.period + what.sway.phase)
    dx, dy = camera(shot, index)
    return Pose(
        x + dx + sway.x * float(np.sin(turn)),
        y + dy + sway.y * float(np.sin(2 * turn + 1)),
        width,
        tilt + sway.tilt * float(np.sin(turn + 2)),
    )


def camera(shot: Shot, index: int) -> tuple[float, float]:
    """Return the shift (x, y) of the whole picture in a frame."""
    t = index - shot.start
    # Several frequencies, which together repeat only after more frames than any scene has.
    x = np.sin(0.37 * t) + 0.6 * np.sin(0.83 * t + 1) + 0.3 * np.sin(1.9 * t + 2)
    y = np.sin(0.29 * t + 2) + 0.6 * np.sin(0.71 * t) + 0.3 * np.sin(2.1 * t + 1)
    return shot.shake * float(x) + shot.pan[0] * t, shot.shake * float(y) + shot.pan[1] * t


def frame_from_crop(where: Pose, size: int) -> Matrix:
    """Return the matrix (2x3) from a canonical crop of `size` pixels to the frame.

    The centre of the oval of the face lies at the centre of the pose.
    """
    scale = where.width * FACE_WIDTHS_PER_CROP / size
    c, s = np.cos(np.radians(where.tilt)) * scale, np.sin(np.radians(where.tilt)) * scale
    linear = np.array([[c, -s], [s, c]])
    middle = np.array(OVAL[:2]) * size - 0.5
    return np.hstack([linear, (np.array([where.x, where.y]) - linear @ middle)[:, None]])
