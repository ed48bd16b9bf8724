"""Measures on aligned crops of one face: flicker, sharpness, and closeness to the truth.

Flicker is the change of luma from frame to frame that the motion of a reference does not explain.
A sharper picture changes more where motion is estimated imperfectly, so flicker is also measured at
equal sharpness: the fine detail of each version is first scaled until its power equals that of the
reference's fine detail. The landmarks of the ground truth, if there is one, align the crops of all
methods and of the ground truth itself, so the same pixel shows the same part of the face in all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.evaluation.metrics import FACE_REGION, face_region, ssim
from crsr_video.evaluation.models import Embedder, FaceAnalyser
from crsr_video.imaging.colour import LUMA_WEIGHTS
from crsr_video.imaging.flow import Motion, motion_between
from crsr_video.imaging.geometry import Points
from crsr_video.imaging.psnr import psnr
from crsr_video.track.recognition import cosine

Picture = NDArray[np.float32]
"""A crop, (S, S, 3), RGB in [0, 1]."""

_LUMA = np.array(LUMA_WEIGHTS, np.float32)

_MIN_AREA = 0.1
"""Share of the face that the flow must explain; otherwise the pair of frames is skipped."""

_FINE = 1 / 64
"""Standard deviation, relative to the crop's side, of the blur that removes fine detail."""


@dataclass(frozen=True)
class Flow:
    """Motion of a face since the previous frame, where it is known."""

    motion: Motion
    trusted: NDArray[np.bool_]
    """Mask (S, S) of the pixels inside the face whose forward and backward flow agree."""

    def change(self, before: Picture, now: Picture) -> float:
        """Mean absolute difference of lumas (S, S) that motion does not explain."""
        return float(np.abs(now - self.motion.moved(before))[self.trusted].mean())


def flow_between(before: Picture, now: Picture) -> Flow | None:
    """Motion between two crops, or None if they have too little in common."""
    one, other = (255 * luma(picture).clip(0, 1) for picture in (before, now))
    motion = motion_between(one, other, "medium")
    face = face_mask(before.shape[0])
    trusted = motion.trusted & face
    return Flow(motion, trusted) if trusted.sum() >= _MIN_AREA * face.sum() else None


def luma(picture: Picture) -> Picture:
    """BT.601 luma of a crop, (S, S)."""
    weighted: Picture = picture @ _LUMA
    return weighted


def face_mask(side: int) -> NDArray[np.bool_]:
    """Mask (S, S) of the measured region of a face."""
    top, bottom, left, right = (round(fraction * side) for fraction in FACE_REGION)
    mask = np.zeros((side, side), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


@dataclass
class Steadiness:
    """Measures of one version of a face, with one value per frame or pair of frames."""

    change: list[float] = field(default_factory=list)
    """Values of `Flow.change`, where white is 1."""
    equal_change: list[float] = field(default_factory=list)
    """Values of `Flow.change` at the sharpness of the reference."""
    detail: list[float] = field(default_factory=list)
    """Mean square of the fine detail in each frame."""

    def gain(self, reference: "Steadiness") -> float:
        """RMS of the fine detail divided by that of the reference."""
        return float(np.sqrt(sum(self.detail) / max(sum(reference.detail), 1e-12)))


def flicker(series: Steadiness, reference: Steadiness) -> float:
    """Mean change divided by that of the reference."""
    return float(np.mean(series.change) / max(float(np.mean(reference.change)), 1e-6))


def flicker_at_equal_sharpness(series: Steadiness, reference: Steadiness) -> float:
    """Mean change at the sharpness of the reference, divided by that of the reference."""
    return float(np.mean(series.equal_change) / max(float(np.mean(reference.change)), 1e-6))


@dataclass(frozen=True)
class _Bands:
    coarse: Picture
    fine: Picture

    def at(self, gain: float) -> Picture:
        return self.coarse + self.fine / max(gain, 1e-6)


class FlickerMeasurement:
    """Measures versions of one face, frame by frame.

    Args:
        reference: Name of the version to whose sharpness the others are scaled.
    """

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self._before: dict[str, _Bands] = {}

    def push(
        self, series: Mapping[str, Steadiness], crops: Mapping[str, Picture], flow: Flow | None
    ) -> None:
        """Measure a frame.

        Args:
            series: Measures by version, to which those of this frame are added.
            crops: Crops of equal size by version.
            flow: Motion since the previous frame, or None if it is not known.
        """
        bands = {name: _bands(luma(crop)) for name, crop in crops.items()}
        mask = face_mask(next(iter(crops.values())).shape[0])
        for name, band in bands.items():
            series[name].detail.append(float(np.square(band.fine[mask]).mean()))
        before, self._before = self._before, bands
        if flow is None:
            return
        for name, band in bands.items():
            # The gain is that of all frames so far, because the gain of one frame would flicker.
            gain = series[name].gain(series[self._reference])
            changes = (flow.change(before[name].at(g), band.at(g)) for g in (1.0, gain))
            for values, change in zip(
                (series[name].change, series[name].equal_change), changes, strict=True
            ):
                values.append(change)


def _bands(picture: Picture) -> _Bands:
    coarse = cv2.GaussianBlur(picture, (0, 0), _FINE * picture.shape[0])
    return _Bands(coarse, picture - coarse)


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
