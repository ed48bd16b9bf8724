"""Align: from a tracked face to a canonical crop, at the smallest size that keeps its detail.

How large a face is and how much it holds are different things: a 300-pixel face that a codec
has blurred to 60 pixels of detail is a 60-pixel face. The networks do most for small inputs, so
each track gets the smallest input tier that loses nothing that is really there.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging import geometry
from crsr_video.imaging.resampling import sample
from crsr_video.imaging.warping import warp
from crsr_video.types import Crop, Face, Frame, TrackedFrame

TIERS = (32, 64, 128)
"""Sides of the crops that the networks are trained for, in pixels."""

LARGEST_PROBE = 512
"""Detail is looked for up to this many pixels a crop."""

_MEASURE_FIRST = 5
_MEASURE_EVERY = 12
"""A track's detail is measured on its first frames, then now and then: it changes slowly."""

_MEASUREMENTS = 9
"""The median of so many counts: codecs make single frames much sharper or softer."""

_DETAIL_LEVEL = 0.006
"""RMS of luma, 1 being white, under which lost detail is not missed: about 1.5 8-bit codes."""

_NOISE_TOLERANCE = 1.35
"""Noise power is counted this many times: codecs and cameras make it a little spiky."""

_NOISE_LEVELS = (0.4 / 255, 1.0 / 255)
"""RMS of the finest noise from which, and at which wholly, it is taken out. Codecs leave little
of it: a clean webcam shows 0.3 codes, a visibly noisy and then compressed clip 1.2."""


@dataclass(frozen=True)
class Thrift:
    """How small a crop may be for what a face holds."""

    hidden: float
    """Share of its native size that a noisy face is taken to hold, whatever was measured."""
    medium: float
    """Detail, in pixels a side, that any face of that size is taken to hold."""
    holds: Mapping[int, float]
    """Side of the crop to the detail, in pixels a side, up to which it serves."""

    def tier(self, side: float) -> int:
        """The smallest crop for so much detail."""
        return next((tier for tier, most in self.holds.items() if most >= side), TIERS[-1])


THRIFTY = Thrift(hidden=0.65, medium=50.0, holds={32: 42.0, 64: 100.0})
"""For speed. What lies beyond a tier's band is faint then, and stays (see `_replaced`). The last
tier takes the rest, and begins late: it costs four times the work of the one before."""

FULL = Thrift(hidden=0.8, medium=80.0, holds={32: 28.0, 64: 60.0})
"""For quality: crops about as large as the face is in its frame, or larger, so that nothing is lost
on the way in. Degraded talking faces of 24 and 48 pixels gain 0.3 dB by it, for up to four times
the work. Sides between the trained ones (48, 96) gave less."""

_HYSTERESIS = 1.15
"""A track changes to another tier only if its detail is this far beyond the border."""


def detail_side(picture: NDArray[np.float32]) -> float:
    """How many pixels a side would be enough to hold what a crop shows.

    The crop is shrunk and enlarged again to ever smaller sizes, until detail is lost.
    Args:    picture: float32 (S, S), luma in [0, 1].
    Returns: pixels a side, at most S.
    """
    kept, level_before = float(picture.shape[0]), 0.0
    while kept > TIERS[0] / 2:
        smaller = kept / np.sqrt(2)
        level, _ = lost_at(picture, round(smaller))
        if level > _DETAIL_LEVEL:
            # Between two sizes, the border lies where the loss crosses the level.
            share = (_DETAIL_LEVEL - level_before) / (level - level_before)
            return float(kept * (smaller / kept) ** share)
        kept, level_before = smaller, level
    return kept


def lost_at(picture: NDArray[np.float32], size: int) -> tuple[float, float]:
    """What a crop loses by being shrunk to `size`: detail and noise, as RMS of luma.

    Detail sits on few pixels (edges), noise on all; so the median, which few pixels do not move,
    tells the noise, and what exceeds it is detail.
    """
    side = picture.shape[0]
    inner = slice(round(0.2 * side), round(0.9 * side))
    lost = np.abs(picture - _through(picture, size))[inner, inner]
    noise = 1.4826 * float(np.median(lost))
    power = float(np.mean(lost**2)) - _NOISE_TOLERANCE * noise**2
    return float(np.sqrt(max(power, 0.0))), noise


def _through(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The picture shrunk to `size` and enlarged back."""
    side = picture.shape[0]
    small = warp(picture, geometry.resize_matrix(size / side), size, size)
    back: NDArray[np.float32] = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    return back


@dataclass(slots=True)
class _TrackState:
    """What is remembered of one track."""

    tier: int
    sides: deque[float] = field(default_factory=lambda: deque(maxlen=_MEASUREMENTS))
    noises: deque[float] = field(default_factory=lambda: deque(maxlen=_MEASUREMENTS))
    age: int = 0
    unseen: int = 0

    @property
    def side(self) -> float:
        """Pixels a side that hold the face's detail."""
        return float(np.median(self.sides))

    @property
    def noise(self) -> float:
        """RMS of luma of the finest noise."""
        return float(np.median(self.noises))


def crop(frame: Frame, crop_from_frame: geometry.Matrix, side: int) -> Crop:
    """What the frame shows in a square of `side` pixels.

    Raises: DegenerateFaceError: the transform is singular.
    """
    image = np.clip(sample(frame, crop_from_frame, side, side), 0, 1)
    return Crop(np.ascontiguousarray(image.transpose(2, 0, 1)), crop_from_frame)


class Aligner:
    """The align stage; no lookahead.

    Args: keep_detail: never let what lies beyond a tier's band be replaced: for networks that
          put nothing in its place.
          thrift: how small crops may be.
          look: cuts a crop out of a frame; as `crop`.
    """

    lookahead = 0

    def __init__(
        self,
        *,
        keep_detail: bool = False,
        thrift: Thrift = THRIFTY,
        look: Callable[[Frame, geometry.Matrix, int], Crop] = crop,
    ) -> None:
        self._keep_detail = keep_detail
        self._thrift = thrift
        self._look = look
        self._tracks: dict[int, _TrackState] = {}

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Give every face that is to be enhanced its crop."""
        if item.cut:
            self.reset()
        faces = tuple(self._align(item.frame, face) for face in item.faces)
        self._forget()
        return [replace(item, faces=faces)]

    def flush(self) -> list[TrackedFrame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks.clear()

    def _align(self, frame: Frame, face: Face) -> Face:
        if face.skipped is not None:
            return face
        try:
            aspect = float(frame.sample_aspect)
            native = geometry.crop_side(face.landmarks, aspect)
            state = self._examine(frame, face, native)
            side = min(state.tier, face.largest_crop or state.tier)
            matrix = geometry.crop_from_frame(face.landmarks, side, aspect)
            seen = self._look(frame, matrix, side)
        except DegenerateFaceError:
            return replace(face, skipped="landmarks do not form a face")
        gain = _gain(state.side)
        if gain <= 0:
            return replace(face, skipped="already as sharp as the networks could make it")
        return replace(
            face,
            crop=seen,
            tier=state.tier,
            detail=0.0 if self._keep_detail else _replaced(native, side, state),
            presence=face.presence * gain,
        )

    def _examine(self, frame: Frame, face: Face, native: float) -> _TrackState:
        """The track's state, measured anew when it is due."""
        state = self._tracks.setdefault(face.track, _TrackState(TIERS[0]))
        if state.age < _MEASURE_FIRST or state.age % _MEASURE_EVERY == 0:
            side, noise = _measure(frame, face, native)
            state.sides.append(min(side, native))
            state.noises.append(noise)
            state.tier = _steady_tier(state.tier, _worth(native, state, self._thrift), self._thrift)
        state.age += 1
        state.unseen = 0
        return state

    def _forget(self) -> None:
        """Drop tracks that have been away for long, so that state stays bounded."""
        for state in self._tracks.values():
            state.unseen += 1
        self._tracks = {k: s for k, s in self._tracks.items() if s.unseen < 300}


def _measure(frame: Frame, face: Face, native: float) -> tuple[float, float]:
    """Pixels a side that hold the face's detail, and the RMS of its finest noise."""
    side = int(np.clip(round(native), TIERS[0], LARGEST_PROBE))
    matrix = geometry.crop_from_frame(face.landmarks, side, float(frame.sample_aspect))
    luma = sample(frame, matrix, side, side) @ np.array([0.299, 0.587, 0.114], np.float32)
    return detail_side(luma), lost_at(luma, round(side / np.sqrt(2)))[1]


def _noisiness(state: _TrackState) -> float:
    """0 for a clean track, 1 for one whose noise is to be taken out."""
    quiet, noisy = _NOISE_LEVELS
    return float(np.clip((state.noise - quiet) / (noisy - quiet), 0.0, 1.0))


def _worth(native: float, state: _TrackState, thrift: Thrift) -> float:
    """Pixels a side that the tier should hold.

    Noise and blocks hide detail from the measurement, though not from the networks: a noisy face
    is taken to hold a good part of its size at least, and the smallest tier is for small faces
    only, or they would come out softer than they went in.
    """
    hidden = thrift.hidden * native * _noisiness(state)
    return max(state.side, hidden, min(0.8 * native, thrift.medium))


def _steady_tier(tier: int, side: float, thrift: Thrift) -> int:
    """The tier for `side`, but the old one while near its borders."""
    if thrift.tier(side / _HYSTERESIS) <= tier <= thrift.tier(side * _HYSTERESIS):
        return tier
    return thrift.tier(side)


def _replaced(native: float, tier: int, state: _TrackState) -> float:
    """Share of what lies beyond the tier's band that is replaced.

    That band is worth replacing where the frame is much larger than the tier, is noisy, and has
    no more detail than the tier holds. Everywhere else it stays.
    """
    room = np.clip(native / tier - 1.0, 0.0, 1.0)
    fits = np.clip((1.3 - state.side / tier) / 0.4, 0.0, 1.0)
    return float(room * fits * _noisiness(state))


def _gain(side: float) -> float:
    """Share of the correction that does good: all up to the last tier's size, none at twice it."""
    return float(np.clip(2.0 - side / TIERS[-1], 0.0, 1.0))
