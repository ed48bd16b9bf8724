"""Measures on aligned crops of one face, frame by frame.

The crops of all methods and of the truth are cut along the landmarks of the truth, so a pixel of a
crop is the same place of the face in all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.evaluation.identity import cosine
from crsr_video.evaluation.landmarks import Landmarks
from crsr_video.evaluation.metrics import FACE_REGION, face_region, psnr, ssim
from crsr_video.imaging.colour import LUMA_WEIGHTS
from crsr_video.imaging.geometry import Points
from crsr_video.track.regions import Region

Picture = NDArray[np.float32]
"""A crop, (S, S, 3), RGB in [0, 1]."""

MAX_PSNR = 100.0
"""PSNR of equal pictures in dB, so that means stay finite."""

_TRUTH = ""
"""Key of the truth among the methods."""

_LUMA = np.array(LUMA_WEIGHTS, np.float32)

_MAX_MISMATCH_PX = 0.5
"""Forward and backward flow may miss the start by this much, plus a share of their length."""

_MIN_AREA = 0.1
"""A pair of frames is skipped if the flow explains a smaller share of the face."""


class LandmarkReader(Protocol):
    """Finds landmarks, as `landmarks.FaceReader` does."""

    def landmarks(self, picture: Tensor, region: Region | None = None) -> Landmarks:
        """Find five points of a canonical crop, (3, S, S) in [0, 1]."""
        ...


Embed = Callable[[Tensor], NDArray[np.float64]]
"""Identity embedding, as by `identity.Embedder`: (N, 3, S, S) in [0, 1] to (N, D)."""


def face_quality(made: Picture, truth: Picture) -> tuple[float, float]:
    """PSNR in dB and SSIM of the face region."""
    x, y = (face_region(as_tensor(picture)) for picture in (made, truth))
    return min(psnr(x, y).item(), MAX_PSNR), ssim(x, y).item()


def as_tensor(picture: Picture) -> Tensor:
    """(S, S, 3) to (1, 3, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


@dataclass(frozen=True)
class Flow:
    """Positions of the pixels of a frame in the frame before."""

    x: Picture
    """(S, S), columns."""
    y: Picture
    """(S, S), rows."""
    trusted: NDArray[np.bool_]
    """(S, S): inside the face, with equal forward and backward flow."""

    def change(self, before: Picture, now: Picture) -> float:
        """Mean absolute difference of luma that motion does not explain, if white is 1."""
        moved = cv2.remap(_luma(before), self.x, self.y, cv2.INTER_CUBIC, None, 1)
        return float(np.abs(_luma(now) - moved)[self.trusted].mean())


def flow_between(before: Picture, now: Picture) -> Flow | None:
    """Dense optical flow between two crops, or None if they have too little in common.

    Source: Kroeger et al. 2016, "Fast optical flow using dense inverse search", in OpenCV.
    """
    a, b = (np.rint(_luma(p).clip(0, 1) * 255).astype(np.uint8) for p in (before, now))
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    back, forth = search.calc(b, a, None), search.calc(a, b, None)
    rows, columns = np.indices(a.shape, np.float32)
    x, y = columns + back[..., 0], rows + back[..., 1]
    returned = back + cv2.remap(forth, x, y, cv2.INTER_LINEAR, None, 1)
    way = np.hypot(back[..., 0], back[..., 1])
    trusted = np.hypot(returned[..., 0], returned[..., 1]) < _MAX_MISMATCH_PX + 0.05 * way
    trusted &= _face_mask(a.shape[0])
    if trusted.sum() < _MIN_AREA * _face_mask(a.shape[0]).sum():
        return None
    return Flow(x, y, trusted)


def _luma(picture: Picture) -> Picture:
    luma: Picture = picture @ _LUMA
    return luma


def _face_mask(side: int) -> NDArray[np.bool_]:
    """Mask (S, S) of the face region."""
    top, bottom, left, right = (round(fraction * side) for fraction in FACE_REGION)
    mask = np.zeros((side, side), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


@dataclass
class Series:
    """Measures of one face by one method, with one value per frame or pair of frames."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    """See `Flow.change`."""
    motion: list[float] = field(default_factory=list)
    """Motion of the landmarks relative to the truth, in eye distances."""
    identity: list[float] = field(default_factory=list)
    """Cosine similarity of the identity embedding to that of the truth, in some of the frames."""


class Meter:
    """Measures one face of a clip in the results of all methods.

    Args:
        reader: Finds landmarks.
        embedder: Identity embedding. Without it, identity is not measured.
        every: Distance in frames between two measurements of identity.
    """

    def __init__(self, reader: LandmarkReader, embedder: Embed | None, *, every: int = 5) -> None:
        self.truth = Series()
        self.series: dict[str, Series] = {}
        self._reader, self._embedder, self._every = reader, embedder, every
        self._crops: dict[str, Picture] = {}
        self._points: dict[str, Points] = {}
        self._frames = 0

    def skip(self) -> None:
        """Note that the face is not visible, so the next frame has no predecessor."""
        self._crops, self._points = {}, {}

    def push(self, truth: Picture, results: dict[str, Picture]) -> None:
        """Measure a frame, given crops of equal size by method."""
        for name, picture in results.items():
            series = self.series.setdefault(name, Series())
            quality, structure = face_quality(picture, truth)
            series.psnr.append(quality)
            series.ssim.append(structure)
        crops = {_TRUTH: truth, **results}
        self._measure_change(crops)
        tensors = {name: as_tensor(crop.clip(0, 1)) for name, crop in crops.items()}
        self._measure_motion(tensors)
        if self._embedder is not None and self._frames % self._every == 0:
            self._measure_identity(tensors, self._embedder)
        self._frames += 1

    def _series_of(self, name: str) -> Series:
        return self.truth if name == _TRUTH else self.series[name]

    def _measure_change(self, crops: dict[str, Picture]) -> None:
        before, self._crops = self._crops, crops
        flow = flow_between(before[_TRUTH], crops[_TRUTH]) if before else None
        if flow is not None:
            for name, now in crops.items():
                self._series_of(name).change.append(flow.change(before[name], now))

    def _measure_motion(self, tensors: dict[str, Tensor]) -> None:
        seen = self._reader.landmarks(tensors[_TRUTH][0])
        points = {name: self._points_in(tensor[0], seen) for name, tensor in tensors.items()}
        before, self._points = self._points, points
        if not before:
            return
        steps = {name: points[name] - before[name] for name in points}
        for name, step in steps.items():
            apart = np.linalg.norm(step - steps[_TRUTH], axis=1).mean()
            self._series_of(name).motion.append(float(apart) / max(seen.eye_distance, 1e-6))

    def _points_in(self, picture: Tensor, seen: Landmarks) -> Points:
        """Landmarks within the region of the truth, so that the model sees both in the same way."""
        return self._reader.landmarks(picture, seen.region).points

    def _measure_identity(self, tensors: dict[str, Tensor], embedder: Embed) -> None:
        embedded = embedder(torch.cat(list(tensors.values())))
        same = cosine(embedded, np.repeat(embedded[:1], len(embedded), axis=0))
        for name, value in zip(tensors, same, strict=True):
            self._series_of(name).identity.append(float(value))
