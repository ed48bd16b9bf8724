"""Where a face's features lie: MediaPipe's 468-point mesh, run on one region of a frame."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.imaging.geometry import Points, apply, invert
from crsr_video.track.appearance import Appearance, appearance
from crsr_video.track.face_models import resolve
from crsr_video.track.glimpse import glimpse
from crsr_video.track.litert import LiteRtModel
from crsr_video.track.view import FloatPicture, Region
from crsr_video.types import Frame

SIDE = 192
"""Input of the mesh model in pixels."""
REGION_PER_FACE = 1.5
"""Side of the model's input over the longer side of the mesh, as MediaPipe's own graph has it."""
_CORRECTIONS = 2
_OFF_CENTRE, _OFF_SIZE = 0.06, 0.25
"""Shift over side, and logarithm of size, from which a look is to be repeated."""
_HOPELESS = 1e-3
"""Flag below which there is nothing to look at again."""

# Points of the mesh; "right" is the person's own right, on the left of the picture. They were
# chosen to lie where the training faces have theirs: each within 0.01 face widths on average.
_RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
_LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
_NOSE = (1, 1, 4)  # the tip as people mark it is a third of the way from 1 up to 4
_RIGHT_MOUTH, _LEFT_MOUTH = (61,), (291,)
_FEATURES = (_RIGHT_EYE, _LEFT_EYE, _NOSE, _RIGHT_MOUTH, _LEFT_MOUTH)
_RIGHT_CHEEK, _LEFT_CHEEK = 234, 454


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face as the mesh model sees it in one frame; upright coordinates."""

    points: Points
    """(5, 2), in the order of `geometry.TEMPLATE`."""
    box: NDArray[np.float64]
    """x0, y0, x1, y1: hairline to chin."""
    flag: float
    """The model's own belief that this is a face, 0 to 1; low for small blurred ones too."""
    yaw: float
    """How far the head is turned to a side, radians; 0 is frontal."""
    region: Region
    """Where to look for this face next."""
    seen_in: Region
    """Where it was looked for."""
    look: Appearance
    """What was to be seen there."""

    @property
    def size(self) -> float:
        """Longer side of the mesh."""
        return self.region.side / REGION_PER_FACE


class Landmarker(Closing):
    """The mesh model; to be closed."""

    def __init__(self, models: Path | None = None) -> None:
        """Load it.

        Args:   models: folder with the model files; None: the cache, see `face_models`.
        Raises: FaceModelError: the model is missing or cannot be run.
        """
        self._model = LiteRtModel(resolve("landmarks", directory=models))
        mesh, flag = sorted(self._model.output_shapes, key=lambda shape: -np.prod(shape))
        self._mesh, self._flag = mesh, flag
        self.calls = 0

    def close(self) -> None:
        """Release the model."""
        self._model.close()

    def look(self, frame: Frame, region: Region) -> Sighting:
        """Place the mesh; whether there is a face at all is another question.

        The model is only right about a face in the middle of its input, so where it finds the face
        elsewhere it looks again, there.
        """
        sighting = self._run(frame, region)
        for _ in range(_CORRECTIONS):
            if sighting.flag < _HOPELESS or _centred(region, sighting.region):
                break
            region = sighting.region
            sighting = self._run(frame, region)
        return sighting

    def _run(self, frame: Frame, region: Region) -> Sighting:
        half = np.float32(0.5)
        shown: FloatPicture = half * glimpse(frame, region, SIDE, fine=True) + half
        self._model.run(shown)
        self.calls += 1
        mesh = self._model.output(self._mesh).reshape(-1, 3).astype(np.float64)
        logit = float(self._model.output(self._flag).squeeze())
        return _sighting(mesh, logit, region, appearance(shown))


def _centred(region: Region, face: Region) -> bool:
    """Whether the model's input fitted the face that it found there."""
    apart = float(np.hypot(face.x - region.x, face.y - region.y))
    return apart < _OFF_CENTRE * face.side and abs(np.log(region.side / face.side)) < _OFF_SIZE


def _sighting(mesh: Points, logit: float, region: Region, look: Appearance) -> Sighting:
    """Make sense of the model's output: mesh is (468, 3), in pixels of its input."""
    upright_from_model = invert(region.picture_from_upright(SIDE))
    # The model counts from the input's edge, where a pixel's centre is at one half.
    flat = apply(upright_from_model, mesh[:, :2] - 0.5)
    points = np.stack([flat[list(indices)].mean(0) for indices in _FEATURES])
    across = mesh[_LEFT_CHEEK] - mesh[_RIGHT_CHEEK]
    return Sighting(
        points=points,
        box=np.concatenate([flat.min(0), flat.max(0)]),
        flag=float(1 / (1 + np.exp(-np.clip(logit, -50, 50)))),
        yaw=float(np.arctan2(across[2], np.hypot(across[0], across[1]))),
        region=region_around(flat, points[0], points[1]),
        seen_in=region,
        look=look,
    )


def region_around(points: Points, right_eye: Points, left_eye: Points) -> Region:
    """The model's input for a face: a square, upright by the eye line, around (N, 2) points."""
    across = left_eye - right_eye
    angle = float(np.arctan2(across[1], across[0]))
    c, s = np.cos(angle), np.sin(angle)
    level = points @ np.array([[c, -s], [s, c]])
    low, high = level.min(0), level.max(0)
    x, y = np.array([[c, -s], [s, c]]) @ ((low + high) / 2)
    side = REGION_PER_FACE * float((high - low).max())
    return Region(float(x), float(y), side, side, angle)
