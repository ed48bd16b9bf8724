"""What is shown: frozen descriptions of scenes, and where everything in them is in each frame.

Lengths are frame pixels, times are frames, tilts are degrees (positive turns a head clockwise).
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from crsr_video.evaluation.tracking.people import OVAL
from crsr_video.imaging.geometry import FACE_WIDTHS_PER_CROP, Matrix


@dataclass(frozen=True, slots=True)
class Key:
    """Where something is at one time; between two keys it goes straight and evenly."""

    at: float
    x: float
    """Of the middle."""
    y: float
    width: float
    """Of the face, or of an occluder."""
    tilt: float = 0.0


@dataclass(frozen=True, slots=True)
class Sway:
    """A small endless loop about the path."""

    x: float = 0.0
    """Amplitudes."""
    y: float = 0.0
    tilt: float = 0.0
    period: float = 60.0
    phase: float = 0.0
    """Turns."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where something is in one frame."""

    x: float
    y: float
    width: float
    tilt: float


@dataclass(frozen=True, slots=True)
class Actor:
    """One face on its way."""

    id: int
    """Unlike any other's of the scene; one and the same person has another after a cut."""
    person: int
    """Which of the cast, counted round."""
    keys: tuple[Key, ...]
    sway: Sway = Sway()


@dataclass(frozen=True, slots=True)
class Occluder:
    """Something that passes in front of those before it in the shot."""

    keys: tuple[Key, ...]
    height: float
    """Over its width."""
    look: Literal["hand", "wall"]
    """A blob of the colour of skin, or a board that shows another part of the background."""
    sway: Sway = Sway()


@dataclass(frozen=True, slots=True)
class Shot:
    """What lies between two cuts."""

    start: int
    layers: tuple[Actor | Occluder, ...]
    """From back to front."""
    backdrop: int = 0
    """Which background, counted round."""
    shake: float = 0.0
    """Amplitude of a hand-held camera, which moves all."""
    pan: tuple[float, float] = (0.0, 0.0)
    """What all moves by a frame."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One clip."""

    name: str
    shots: tuple[Shot, ...]
    frames: int = 90
    size: tuple[int, int] = (1920, 1080)
    """Width and height."""
    noise: float = 1.5
    """Standard deviation of the sensor's, of 255; new in every frame."""
    blur: float = 0.0
    """Sigma of the lens, pixels."""
    still: bool = field(default=False)
    """Nothing moves, so landmarks should not either."""

    def shot(self, index: int) -> Shot:
        """The one that a frame belongs to."""
        return [shot for shot in self.shots if shot.start <= index][-1]


def pose(what: Actor | Occluder, shot: Shot, index: int) -> Pose:
    """Where it is in a frame, the camera's motion included."""
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
    """How far everything is moved in a frame."""
    t = index - shot.start
    # Hands tremble at several frequencies; these repeat after longer than any scene lasts.
    x = np.sin(0.37 * t) + 0.6 * np.sin(0.83 * t + 1) + 0.3 * np.sin(1.9 * t + 2)
    y = np.sin(0.29 * t + 2) + 0.6 * np.sin(0.71 * t) + 0.3 * np.sin(2.1 * t + 1)
    return shot.shake * float(x) + shot.pan[0] * t, shot.shake * float(y) + shot.pan[1] * t


def frame_from_crop(where: Pose, size: int) -> Matrix:
    """How a canonical crop of `size` pixels lies in the frame; 2x3.

    The middle of the face's oval comes to lie at the pose's.
    """
    scale = where.width * FACE_WIDTHS_PER_CROP / size
    c, s = np.cos(np.radians(where.tilt)) * scale, np.sin(np.radians(where.tilt)) * scale
    linear = np.array([[c, -s], [s, c]])
    middle = np.array(OVAL[:2]) * size - 0.5
    return np.hstack([linear, (np.array([where.x, where.y]) - linear @ middle)[:, None]])
