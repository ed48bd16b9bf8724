"""Facial landmarks: MediaPipe's 468-point mesh model, run on one region of a frame."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.imaging.geometry import Points, apply, invert
from crsr_video.track.appearance import Appearance, appearance
from crsr_video.track.face_models import resolve
from crsr_video.track.litert import LiteRtModel
from crsr_video.track.region_pictures import model_input
from crsr_video.track.regions import Region, square
from crsr_video.types import FloatPicture, Frame

SIDE = 192
"""Side of the model's input in pixels."""
REGION_PER_FACE = 1.5
"""Side of the model's region over the longer side of the mesh, as in MediaPipe's own graph."""
_MAX_CORRECTIONS = 2
_MAX_OFFSET, _MAX_LOG_SIZE = 0.06, 0.25
"""Ratio of offset to side, and logarithm of the size ratio, from which the model is run again."""
_HOPELESS_SCORE = 1e-3
"""Face score below which the model is not run again."""

# Points of the mesh; "right" is the person's own right, on the left of the picture. They were
# chosen to match the landmarks of the training faces: each is within 0.01 face widths on average.
_RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
_LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
_NOSE = (1, 1, 4)  # People mark the tip a third of the way from 1 up to 4.
_RIGHT_MOUTH, _LEFT_MOUTH = (61,), (291,)
_FEATURES = (_RIGHT_EYE, _LEFT_EYE, _NOSE, _RIGHT_MOUTH, _LEFT_MOUTH)
_RIGHT_CHEEK, _LEFT_CHEEK = 234, 454


@dataclass(frozen=True, slots=True)
class Observation:
    """One face as the landmark model sees it in one frame, in upright coordinates."""

    points: Points
    """(5, 2) landmarks in the order of `geometry.TEMPLATE`."""
    box: NDArray[np.float64]
    """x0, y0, x1, y1: hairline to chin."""
    face_score: float
    """The model's own confidence that this is a face, 0 to 1; low for small blurred faces too."""
    yaw: float
    """Rotation of the head to a side in radians; 0 is frontal."""
    region: Region
    """The region in which to look for this face next."""
    seen_in: Region
    """The region in which the model was run."""
    appearance: Appearance

    @property
    def size(self) -> float:
        """The longer side of the mesh."""
        return self.region.side / REGION_PER_FACE


class LandmarkModel(Closing):
    """The landmark model. Close it after use, or use it as a context manager."""

    def __init__(self, models: Path | None = None) -> None:
        """Load the model.

        Args:
            models: Folder with the model files. Defaults to where `face_models` finds them.
        """
        self._model = LiteRtModel(resolve("landmarks", directory=models))
        self._score, self._mesh = sorted(self._model.output_shapes, key=np.prod)

    @property
    def runs(self) -> int:
        """Number of times that the model was run."""
        return self._model.runs

    def close(self) -> None:
        """Free the model."""
        self._model.close()

    def observe(self, frame: Frame, region: Region) -> Observation:
        """Return the face that the model sees in a region, even where there may be none.

        The model is accurate only for a face in the middle of its input. If it finds the face
        elsewhere, it is run again around that place.
        """
        observation = self._run(frame, region)
        for _ in range(_MAX_CORRECTIONS):
            if observation.face_score < _HOPELESS_SCORE or _is_centred(region, observation.region):
                break
            region = observation.region
            observation = self._run(frame, region)
        return observation

    def _run(self, frame: Frame, region: Region) -> Observation:
        half = np.float32(0.5)
        pixels: FloatPicture = half * model_input(frame, region, SIDE, for_landmarks=True) + half
        self._model.run(pixels)
        mesh = self._model.output(self._mesh).reshape(-1, 3).astype(np.float64)
        logit = float(self._model.output(self._score).squeeze())
        return _observation(mesh, logit, region, appearance(pixels))


def _is_centred(region: Region, face: Region) -> bool:
    offset = float(np.hypot(face.x - region.x, face.y - region.y))
    size_ratio = abs(np.log(region.side / face.side))
    return offset < _MAX_OFFSET * face.side and bool(size_ratio < _MAX_LOG_SIZE)


def _observation(mesh: Points, logit: float, region: Region, seen: Appearance) -> Observation:
    """Interpret the model's output: a mesh (468, 3) in pixels of its input, and a score."""
    upright_from_model = invert(region.picture_from_upright(SIDE))
    # The model counts from the edge of its input, where the centre of a pixel is at one half.
    flat = apply(upright_from_model, mesh[:, :2] - 0.5)
    points = np.stack([flat[list(indices)].mean(0) for indices in _FEATURES])
    across = mesh[_LEFT_CHEEK] - mesh[_RIGHT_CHEEK]
    return Observation(
        points=points,
        box=np.concatenate([flat.min(0), flat.max(0)]),
        face_score=float(1 / (1 + np.exp(-np.clip(logit, -50, 50)))),
        yaw=float(np.arctan2(across[2], np.hypot(across[0], across[1]))),
        region=region_around(flat, points[0], points[1]),
        seen_in=region,
        appearance=seen,
    )


def region_around(points: Points, right_eye: Points, left_eye: Points) -> Region:
    """Return the landmark model's region for a face.

    Args:
        points: (N, 2) points of the face.
        right_eye: (2,) centre of the right eye.
        left_eye: (2,) centre of the left eye.

    Returns:
        A square around the points, level with the eye line.
    """
    across = left_eye - right_eye
    angle = float(np.arctan2(across[1], across[0]))
    c, s = np.cos(angle), np.sin(angle)
    level = points @ np.array([[c, -s], [s, c]])
    low, high = level.min(0), level.max(0)
    x, y = np.array([[c, -s], [s, c]]) @ ((low + high) / 2)
    return square(float(x), float(y), REGION_PER_FACE * float((high - low).max()), angle)
