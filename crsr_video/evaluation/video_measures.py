"""Measures on aligned crops of one face, frame by frame.

The landmarks of the ground truth align the crops of all methods and of the ground truth itself, so
the same pixel shows the same part of the face in all crops.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from crsr_video.evaluation.flicker import FlickerMeasurement, Picture, Steadiness, flow_between
from crsr_video.evaluation.landmarks import FaceAnalyser
from crsr_video.evaluation.metrics import face_region, ssim
from crsr_video.evaluation.models import Embedder
from crsr_video.imaging.geometry import Points
from crsr_video.imaging.psnr import psnr
from crsr_video.track.recognition import cosine

_TRUTH = ""
"""Key of the ground truth in dictionaries that are keyed by method."""


def face_quality(made: Picture, truth: Picture) -> tuple[float, float]:
    """PSNR in dB and SSIM of the face region."""
    x, y = (face_region(as_tensor(picture)) for picture in (made, truth))
    return psnr(x, y).item(), ssim(x, y).item()


def as_tensor(picture: Picture) -> Tensor:
    """Convert (S, S, 3) to (1, 3, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


@dataclass
class Series(Steadiness):
    """Measures of one face by one method, with one value per frame or pair of frames."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    motion: list[float] = field(default_factory=list)
    """Motion of the landmarks relative to the truth, in eye distances."""
    identity: list[float] = field(default_factory=list)
    """Cosine similarity of the identity embedding to that of the truth, in some of the frames."""


class FaceMeasurement:
    """Measures one face of a clip in the results of all methods.

    Args:
        analyser: Finds landmarks.
        embedder: Computes identity embeddings. If it is None, identity is not measured.
        every: Distance in frames between two measurements of identity.
    """

    def __init__(
        self, analyser: FaceAnalyser, embedder: Embedder | None, *, every: int = 5
    ) -> None:
        self.truth = Series()
        self.series: dict[str, Series] = {}
        self._analyser, self._embedder, self._every = analyser, embedder, every
        self._flicker: FlickerMeasurement | None = None
        self._truth: Picture | None = None
        self._points: dict[str, Points] = {}
        self._frames = 0

    def skip(self) -> None:
        """Record that the face is not visible, so the next frame is not compared with the last."""
        self._truth, self._points = None, {}

    def push(self, truth: Picture, results: dict[str, Picture]) -> None:
        """Measure a frame, given the crop of the truth and one of equal size for each method."""
        for name, picture in results.items():
            series = self.series.setdefault(name, Series())
            quality, structure = face_quality(picture, truth)
            series.psnr.append(quality)
            series.ssim.append(structure)
        crops = {_TRUTH: truth, **results}
        self._measure_flicker(crops)
        tensors = {name: as_tensor(crop.clip(0, 1)) for name, crop in crops.items()}
        self._measure_motion(tensors)
        if self._embedder is not None and self._frames % self._every == 0:
            self._measure_identity(tensors, self._embedder)
        self._frames += 1

    def _series_of(self, name: str) -> Series:
        return self.truth if name == _TRUTH else self.series[name]

    def _measure_flicker(self, crops: dict[str, Picture]) -> None:
        """Measure flicker, and sharpness relative to the first method, which is the input."""
        before, self._truth = self._truth, crops[_TRUTH]
        flow = flow_between(before, crops[_TRUTH]) if before is not None else None
        if self._flicker is None:
            self._flicker = FlickerMeasurement(next(iter(self.series)))
        self._flicker.push({name: self._series_of(name) for name in crops}, crops, flow)

    def _measure_motion(self, tensors: dict[str, Tensor]) -> None:
        seen = self._analyser.landmarks(tensors[_TRUTH][0])
        # With the region of the truth, the model sees all crops alike.
        points = {
            name: self._analyser.landmarks(tensor[0], seen.region).points
            for name, tensor in tensors.items()
        }
        before, self._points = self._points, points
        if not before:
            return
        steps = {name: points[name] - before[name] for name in points}
        for name, step in steps.items():
            apart = np.linalg.norm(step - steps[_TRUTH], axis=1).mean()
            self._series_of(name).motion.append(float(apart) / max(seen.eye_distance, 1e-6))

    def _measure_identity(self, tensors: dict[str, Tensor], embedder: Embedder) -> None:
        embedded = embedder(torch.cat(list(tensors.values())))
        same = cosine(embedded, np.repeat(embedded[:1], len(embedded), axis=0))
        for name, value in zip(tensors, same, strict=True):
            self._series_of(name).identity.append(float(value))
