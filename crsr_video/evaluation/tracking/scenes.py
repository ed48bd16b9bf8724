"""Descriptions of scenes: the people, and the pose of every face and occluder in each frame.

Lengths are in frame pixels, times in frames, and tilts in degrees. A positive tilt turns a head
clockwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import ConfigError
from crsr_video.imaging.geometry import (
    FACE_WIDTHS_PER_CROP,
    Matrix,
    Points,
    apply,
    canonical_landmarks,
    compose,
    crop_from_frame,
    resize_matrix,
)
from crsr_video.imaging.warping import warp
from crsr_video.training.pack import Pack, Prepared
from crsr_video.training.prepare import LIST, LocatedFace, SkipCounter, aligned, listed
from crsr_video.types import Bytes

MAX_PEOPLE = 24
"""Maximum number of different people. Scenes with more faces repeat some of them."""
OVAL = (0.5, 0.575, 0.268, 0.303)
"""Centre and semi-axes of the ellipse of a face, from hairline to chin, as fractions of the crop:
the mean extent of the face mesh over 33 portraits."""
_HEAD = (0.5, 0.5, 0.37, 0.475)
"""Centre and semi-axes of the head that is cut out, with hair, ears and a part of the neck."""
_SOFT_EDGE = 0.12
"""Width of the soft edge of the head, as a fraction of its semi-axes."""
_MIN_LEVEL_PX = 24
_MAX_CROP_PX = 512
_ASTRONAUT = ((201.9, 100.7), (247.3, 103.5), (224.0, 126.8), (204.5, 140.1), (244.0, 141.3))
"""Landmarks in scikit-image's portrait of an astronaut, in pixels, measured by hand."""
_TINTS = ((1.0, 1.0, 1.0), (0.82, 0.88, 1.0), (1.0, 0.85, 0.72), (0.68, 0.66, 0.7))


@dataclass(frozen=True, slots=True)
class Level:
    """A head at one resolution."""

    pixels: NDArray[np.uint8]
    """(S, S, 4): premultiplied RGB, and alpha."""
    level_from_crop: Matrix
    """2x3 matrix that maps pixels of the largest level to pixels of this level."""


@dataclass(frozen=True)
class DrawnHead:
    """A head that can be drawn at any size."""

    name: str
    levels: tuple[Level, ...]
    """The levels from large to small, each half as large as the one before."""
    points: Points
    """(5, 2) landmarks in pixels of the largest level."""

    @property
    def size(self) -> int:
        """Side of the largest level in pixels. This is 1.9 times the width of the face."""
        return int(self.levels[0].pixels.shape[0])

    def level_for(self, width: float) -> Level:
        """Return the smallest level that need not be enlarged for a face of this width.

        If there is none, return the largest level.
        """
        side = width * FACE_WIDTHS_PER_CROP
        fit = [level for level in self.levels if level.pixels.shape[0] >= side]
        return fit[-1] if fit else self.levels[0]


def person_from(crop: Bytes, name: str, points: Points | None = None) -> DrawnHead:
    """Cut a head out of its canonical crop.

    Args:
        crop: (S, S, 3), RGB.
        name: Name of the person.
        points: (5, 2) landmarks in pixels of the crop. Defaults to those of the template.
    """
    size = crop.shape[0]
    alpha = np.rint(255 * head_alpha(_grid(size), size)).astype(np.float32)[..., None]
    picture = np.rint(np.dstack((crop * (alpha / 255), alpha))).astype(np.uint8)
    levels = [Level(picture, np.eye(2, 3))]
    while picture.shape[0] % 2 == 0 and picture.shape[0] // 2 >= _MIN_LEVEL_PX:
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        half = compose(resize_matrix(0.5), levels[-1].level_from_crop)
        levels.append(Level(picture, half))
    return DrawnHead(name, tuple(levels), canonical_landmarks(size) if points is None else points)


def head_alpha(points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the opacity of a head, 0 to 1, at points (..., 2) of its canonical crop."""
    x, y, a, b = np.array(_HEAD) * size
    radius = np.hypot((points[..., 0] + 0.5 - x) / a, (points[..., 1] + 0.5 - y) / b)
    ramp = np.clip((1 - radius) / _SOFT_EDGE, 0, 1)
    opaque: NDArray[np.float64] = ramp * ramp * (3 - 2 * ramp)
    return opaque


def _grid(size: int) -> NDArray[np.float64]:
    return np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).astype(np.float64)


def people(source: Path | None, *, pictures: int = 1) -> list[DrawnHead]:
    """Read the people to draw into scenes.

    Args:
        source: A pack that the prepare command wrote, or a folder of pictures with a ``faces.csv``
            that lists their landmarks. Faces of a pack get the landmarks of the template.
            Defaults to variants of the portrait that comes with scikit-image.
        pictures: Maximum number of pictures of each person. Each picture is returned as a separate
            person of the same name.

    Raises:
        ConfigError: If there is no suitable face.
    """
    if source is None:
        return _portraits()
    read = _from_list if (source / LIST).is_file() else _from_pack
    found = read(source, pictures)
    if not found:
        raise ConfigError(f"{source} contains no sharp face of the held-out set")
    return found


def _from_pack(path: Path, pictures: int) -> list[DrawnHead]:
    pack = Pack(path)
    numbers = _chosen(pack.pictures, pictures)
    return [person_from(pack.read(n), pack.pictures[n].person or str(n)) for n in numbers]


def _from_list(folder: Path, pictures: int) -> list[DrawnHead]:
    found = listed(folder, SkipCounter())
    made = []
    for face in (found[n] for n in _chosen(found, pictures)):
        size = min(face.size, _MAX_CROP_PX)
        crop = aligned(folder, face, size)
        if crop is not None:
            points = apply(crop_from_frame(face.landmarks, size), face.landmarks)
            made.append(person_from(crop, face.person, points))
    return made


def _chosen(entries: Sequence[Prepared | LocatedFace], pictures: int) -> list[int]:
    """Select pictures of each held-out person, preferring photographs and large pictures."""
    order = sorted(
        (n for n, entry in enumerate(entries) if entry.split == "val"),
        key=lambda n: (entries[n].kind == "synthetic", -entries[n].size, n),
    )
    found: dict[Any, list[int]] = {}
    for n in order:
        found.setdefault(entries[n].person or n, []).append(n)
    return [n for own in list(found.values())[:MAX_PEOPLE] for n in own[:pictures]]


def _portraits() -> list[DrawnHead]:
    """Return variants of one portrait, mirrored and tinted."""
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise ConfigError(
            "use --faces, or install scikit-image, which contains a portrait"
        ) from error
    points, size = np.array(_ASTRONAUT), 256
    matrix = crop_from_frame(points, size)
    crop = warp(astronaut(), matrix, size, size).clip(0, 255)
    placed = apply(matrix, points)
    made = []
    for n, tint in enumerate(_TINTS):
        tinted = np.rint(crop * np.array(tint, np.float32)).astype(np.uint8)
        made.append(person_from(tinted, f"portrait {2 * n}", placed))
        flipped = placed[[1, 0, 2, 4, 3]] * (-1, 1) + (size - 1, 0)
        made.append(person_from(tinted[:, ::-1], f"portrait {2 * n + 1}", flipped))
    return made


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
