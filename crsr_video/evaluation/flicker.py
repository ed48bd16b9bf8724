"""Flicker and sharpness of several versions of one face, measured together.

Flicker is the change of luma from frame to frame that the motion of a reference does not explain.
A sharper picture changes more where motion is estimated imperfectly, so flicker is also measured at
equal sharpness: the fine detail of each version is first scaled until its power equals that of the
reference's fine detail.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.evaluation.metrics import FACE_REGION
from crsr_video.imaging.colour import LUMA_WEIGHTS
from crsr_video.imaging.flow import Motion, motion_between

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
