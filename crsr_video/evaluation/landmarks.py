"""Measures results with the tracker's models: landmarks, and confidence that a face is shown."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from crsr_video.closing import Closing
from crsr_video.errors import FaceModelError
from crsr_video.imaging.geometry import Points
from crsr_video.io.frames import from_rgb
from crsr_video.track import face_models
from crsr_video.track.detection import Detector, DetectorRun
from crsr_video.track.landmarks import LandmarkModel
from crsr_video.track.regions import Region, square
from crsr_video.types import Frame

_MESH = (0.5, 0.58, 0.925)
"""Centre (x, y) and side of the mesh model's view of a canonical crop, as fractions of its side.
They are means over photographs."""


@dataclass(frozen=True)
class Landmarks:
    """Five landmarks of one picture."""

    points: Points
    """(5, 2) in pixels, in the order of `geometry.TEMPLATE`."""
    region: Region

    @property
    def eye_distance(self) -> float:
        """Distance of the centres of the eyes in pixels."""
        return float(np.linalg.norm(self.points[1] - self.points[0]))


class FaceAnalyser(Closing):
    """Measures faces with the mesh model and the detector. Close it after use."""

    def __init__(self) -> None:
        """Load the models.

        Raises:
            FaceModelError: If a model is missing. Missing models are not fetched.
        """
        missing = [s.model.name for s in face_models.status() if not s.present]
        if missing:
            raise FaceModelError("face models are missing: run 'crsr-video models --fetch'")
        self._landmarker = LandmarkModel()
        try:
            self._detector = Detector()
        except BaseException:
            self._landmarker.close()
            raise

    def close(self) -> None:
        """Release both models."""
        self._landmarker.close()
        self._detector.close()

    def landmarks(self, picture: Tensor, region: Region | None = None) -> Landmarks:
        """Find five points of a canonical crop, (3, S, S) in [0, 1].

        Small crops are enlarged to the 192 pixels of the model with bicubic interpolation.

        Args:
            picture: The crop.
            region: Region to look in. Pass that of the truth, so that the model sees two pictures
                of one face in the same way.
        """
        x, y, side = (part * picture.shape[-1] for part in _MESH)
        start = region or Region(x - 0.5, y - 0.5, side, side)
        observation = self._landmarker.observe(frame_of(picture), start)
        return Landmarks(observation.points, observation.seen_in)

    def distance(self, picture: Tensor, truth: Landmarks) -> float:
        """Return the mean distance of five landmarks from those of the truth, in eye distances."""
        found = self.landmarks(picture, truth.region)
        apart = np.linalg.norm(found.points - truth.points, axis=1)
        return float(apart.mean()) / max(truth.eye_distance, 1e-6)

    def confidence(self, picture: Tensor) -> float:
        """Return the score of the best face that the detector finds in a crop, from 0 to 1."""
        side = picture.shape[-1]
        middle = (side - 1) / 2
        run = DetectorRun(square(middle, middle, side), "short_range")
        return max((f.score for f in self._detector.detect(frame_of(picture), [run])), default=0.0)


def frame_of(picture: Tensor) -> Frame:
    """Return a picture, (3, H, W) in [0, 1], as a frame for the face models."""
    codes = picture.detach().float().clamp(0, 1).mul(255).round().byte()
    return from_rgb(codes.permute(1, 2, 0).contiguous().numpy(), 0)
