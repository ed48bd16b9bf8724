"""Measures on aligned crops of one face, frame after frame.

All methods and the truth are cut along the truth's own landmarks, so that a crop's pixel is the
same place of the face in each of them.
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
from crsr_video.imaging.geometry import Points
from crsr_video.track.regions import Region

Picture = NDArray[np.float32]
"""A crop, (S, S, 3) RGB in [0, 1]."""

BEST_PSNR = 100.0
"""dB given to equal pictures, so that means stay finite."""

_TRUTH = ""
"""Its name among the methods'."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_DISAGREEMENT = 0.5
"""Pixels by which flow forth and back may miss the start, and what is added for long ways."""

_LEAST_AREA = 0.1
"""Share of the face that flow must explain; below it a pair of frames says nothing."""


class Reads(Protocol):
    """What finds landmarks, as `landmarks.FaceReader` does."""

    def landmarks(self, picture: Tensor, region: Region | None = None) -> Landmarks:
        """Five points of a canonical crop, (3, S, S) in [0, 1]."""
        ...


Embeds = Callable[[Tensor], NDArray[np.float64]]
"""What tells people apart, as `identity.Embedder` does: (N, 3, S, S) in [0, 1] to (N, D)."""


def likeness(made: Picture, truth: Picture) -> tuple[float, float]:
    """PSNR in dB and SSIM over the face region."""
    x, y = (face_region(as_tensor(picture)) for picture in (made, truth))
    return min(psnr(x, y).item(), BEST_PSNR), ssim(x, y).item()


def as_tensor(picture: Picture) -> Tensor:
    """(S, S, 3) to (1, 3, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


@dataclass(frozen=True)
class Flow:
    """Where the present frame's pixels were in the frame before."""

    x: Picture
    """(S, S), columns."""
    y: Picture
    """(S, S), rows."""
    trusted: NDArray[np.bool_]
    """(S, S): in the face, and found again on the way back."""

    def change(self, before: Picture, now: Picture) -> float:
        """Mean absolute difference of luma that motion does not explain; white is 1."""
        moved = cv2.remap(_luma(before), self.x, self.y, cv2.INTER_CUBIC, None, 1)
        return float(np.abs(_luma(now) - moved)[self.trusted].mean())


def flow_between(before: Picture, now: Picture) -> Flow | None:
    """Dense optical flow between two crops; None where they have too little in common.

    Source: Kroeger et al. 2016, "Fast optical flow using dense inverse search", as OpenCV has it.
    """
    a, b = (np.rint(_luma(p).clip(0, 1) * 255).astype(np.uint8) for p in (before, now))
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    back, forth = search.calc(b, a, None), search.calc(a, b, None)
    rows, columns = np.indices(a.shape, np.float32)
    x, y = columns + back[..., 0], rows + back[..., 1]
    returned = back + cv2.remap(forth, x, y, cv2.INTER_LINEAR, None, 1)
    way = np.hypot(back[..., 0], back[..., 1])
    trusted = np.hypot(returned[..., 0], returned[..., 1]) < _DISAGREEMENT + 0.05 * way
    trusted &= _face(a.shape[0])
    if trusted.sum() < _LEAST_AREA * _face(a.shape[0]).sum():
        return None
    return Flow(x, y, trusted)


def _luma(picture: Picture) -> Picture:
    luma: Picture = picture @ _LUMA
    return luma


def _face(side: int) -> NDArray[np.bool_]:
    """(S, S), true where `face_region` looks."""
    top, bottom, left, right = (round(fraction * side) for fraction in FACE_REGION)
    mask = np.zeros((side, side), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


@dataclass
class Series:
    """What was measured of one face by one method; a list grows by one for every frame or pair."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    """See `Flow.change`."""
    motion: list[float] = field(default_factory=list)
    """Landmarks' steps against the truth's, in distances between the eyes."""
    identity: list[float] = field(default_factory=list)
    """Cosine similarity of the embedding to the truth's, of some of the frames."""


class Meter:
    """Measures one face through a clip, by every method at once; holds two frames at most.

    Args: reader: finds landmarks. embedder: None: identity is left out.
          every: frames from one whose identity is measured to the next.
    """

    def __init__(self, reader: Reads, embedder: Embeds | None, *, every: int = 5) -> None:
        self.truth = Series()
        self.series: dict[str, Series] = {}
        self._reader, self._embedder, self._every = reader, embedder, every
        self._crops: dict[str, Picture] = {}
        self._points: dict[str, Points] = {}
        self._frames = 0

    def skip(self) -> None:
        """The face is not seen: the next frame follows upon none."""
        self._crops, self._points = {}, {}

    def push(self, truth: Picture, made: dict[str, Picture]) -> None:
        """Measure a frame: crops of equal size, by method."""
        for name, picture in made.items():
            series = self.series.setdefault(name, Series())
            quality, structure = likeness(picture, truth)
            series.psnr.append(quality)
            series.ssim.append(structure)
        crops = {_TRUTH: truth, **made}
        self._measure_change(crops)
        tensors = {name: as_tensor(crop.clip(0, 1)) for name, crop in crops.items()}
        self._measure_motion(tensors)
        if self._embedder is not None and self._frames % self._every == 0:
            self._measure_identity(tensors, self._embedder)
        self._frames += 1

    def _of(self, name: str) -> Series:
        return self.truth if name == _TRUTH else self.series[name]

    def _measure_change(self, crops: dict[str, Picture]) -> None:
        before, self._crops = self._crops, crops
        flow = flow_between(before[_TRUTH], crops[_TRUTH]) if before else None
        if flow is not None:
            for name, now in crops.items():
                self._of(name).change.append(flow.change(before[name], now))

    def _measure_motion(self, tensors: dict[str, Tensor]) -> None:
        seen = self._reader.landmarks(tensors[_TRUTH][0])
        points = {name: self._points_in(tensor[0], seen) for name, tensor in tensors.items()}
        before, self._points = self._points, points
        if not before:
            return
        steps = {name: points[name] - before[name] for name in points}
        for name, step in steps.items():
            apart = np.linalg.norm(step - steps[_TRUTH], axis=1).mean()
            self._of(name).motion.append(float(apart) / max(seen.eye_distance, 1e-6))

    def _points_in(self, picture: Tensor, seen: Landmarks) -> Points:
        """Landmarks, looked for where the truth's were: the model sees both alike."""
        return self._reader.landmarks(picture, seen.region).points

    def _measure_identity(self, tensors: dict[str, Tensor], embedder: Embeds) -> None:
        embedded = embedder(torch.cat(list(tensors.values())))
        same = cosine(embedded, np.repeat(embedded[:1], len(embedded), axis=0))
        for name, value in zip(tensors, same, strict=True):
            self._of(name).identity.append(float(value))
