"""Align: cut a canonical crop for each tracked face, at the smallest size that keeps its detail.

A face's size and the detail that it holds are different things: a 300-pixel face that a codec has
blurred to 60 pixels of detail is a 60-pixel face. The networks do most for small inputs, so each
track gets the smallest crop size that loses nothing that is really there.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging import geometry
from crsr_video.imaging.colour import LUMA_WEIGHTS
from crsr_video.imaging.masks import HEADROOM
from crsr_video.imaging.noise import deviation, power_beyond
from crsr_video.imaging.operations import Operations
from crsr_video.imaging.resampling import sample
from crsr_video.imaging.warping import warp
from crsr_video.stages.base import Stage, frames_to_hold
from crsr_video.types import Crop, Face, Frame, TrackedFrame

CROP_SIZES = (32, 64, 128)
"""Sides of the crops that the networks are trained for, in pixels."""

LARGEST_PROBE = 512
"""Largest side, in pixels, of the crop in which detail is measured."""

_MEASURE_FIRST = 5
_MEASURE_EVERY = 12
"""A track's detail is measured on its first frames, then now and then: it changes slowly."""

_MEASUREMENTS = 9
"""Length of the median over a track's measurements: codecs make single frames sharper or softer."""

_FORGET_AFTER = 300
"""Frames for which the measurements of a track that is not seen are kept."""

_DETAIL_LEVEL = 0.006
"""RMS of luma, 1 being white, under which lost detail is not missed: about 1.5 8-bit codes."""

_NOISE_LEVELS = (0.4 / 255, 1.0 / 255)
"""RMS of the finest noise from which, and at which wholly, it is removed. Codecs leave little of
it: a clean webcam shows 0.3 codes, a visibly noisy and then compressed clip 1.2."""

_BLOCK = 8
"""Side of the blocks of JPEG, MPEG and most other codecs, in samples."""

_BLOCK_LEVELS = (0.6 / 255, 1.4 / 255)
"""Steps at block borders, beyond the steps elsewhere, from which, and at which wholly, what lies
beyond the crop's band is replaced. Measured steps are 1.1 to 1.6 codes in MPEG-1, MPEG-4 and coarse
H.264, and up to 0.3 codes in clips without visible blocks."""

_LUMA = np.array(LUMA_WEIGHTS, np.float32)


@dataclass(frozen=True)
class CropSizePolicy:
    """Rules for how small the crop of a face may be."""

    hidden: float
    """Share of its native size that a noisy face is taken to hold, whatever was measured."""
    medium: float
    """Detail, in pixels per side, that any face of that size is taken to hold."""
    holds: Mapping[int, float]
    """Largest detail, in pixels per side, that a crop of a given side serves."""
    native_share: float = np.inf
    """A crop that cannot hold the measured detail gives way to the next larger one if the face's
    native size exceeds this share of that. What a crop cannot hold stays in the frame, with what a
    codec has done to it."""

    def crop_size(self, detail: float, measured: float = 0.0, native: float = 0.0) -> int:
        """Return the smallest crop for a face.

        Args:
            detail: Pixels of detail per side that it should hold.
            measured: Pixels of detail per side that were measured.
            native: Side of a crop with the frame's own resolution, in pixels.
        """
        size = next((size for size, most in self.holds.items() if most >= detail), CROP_SIZES[-1])
        larger = [s for s in CROP_SIZES if size < s and native > self.native_share * s]
        return larger[0] if larger and measured > size else size


LIVE_CROPS = CropSizePolicy(hidden=0.65, medium=50.0, holds={32: 42.0, 64: 100.0})
"""For live enhancement. What lies beyond a crop's band is faint then, and stays (see `_replaced`).
The largest crop costs four times the work of the one before, so it is used for the finest detail
only."""

FAST_CROPS = replace(LIVE_CROPS, native_share=0.8)
"""For speed where there is time. On two webcam clips with crops of 115 pixels, flicker falls by
another 7 to 8 % where crops of 128 pixels take the place of 64."""

FULL_CROPS = CropSizePolicy(hidden=0.8, medium=80.0, holds={32: 28.0, 64: 60.0})
"""For quality: crops about as large as the face is in its frame, or larger, so that nothing is lost
on the way in. Degraded talking faces of 24 and 48 pixels gain 0.3 dB by it, for up to four times
the work. Sides between the trained ones (48, 96) gave less."""

_HYSTERESIS = 1.15
"""A track changes its crop size only if its detail is this factor beyond the border."""


def detail_side(picture: NDArray[np.float32]) -> float:
    """Return how many pixels per side would be enough to hold what a crop shows.

    The crop is shrunk and enlarged again to ever smaller sizes, until detail is lost.

    Args:
        picture: float32 (S, S), luma in [0, 1].

    Returns:
        Pixels per side, at most S.
    """
    kept, level_before = float(picture.shape[0]), 0.0
    while kept > CROP_SIZES[0] / 2:
        smaller = kept / np.sqrt(2)
        level, _ = lost_at(picture, round(smaller))
        if level > _DETAIL_LEVEL:
            # Between two sizes, the border lies where the loss crosses the level.
            share = (_DETAIL_LEVEL - level_before) / (level - level_before)
            return float(kept * (smaller / kept) ** share)
        kept, level_before = smaller, level
    return kept


def lost_at(picture: NDArray[np.float32], size: int) -> tuple[float, float]:
    """Return the detail and the noise that a crop loses when it is shrunk to `size`.

    Both are RMS of luma; detail is what noise does not explain.
    """
    side = picture.shape[0]
    inner = slice(round(0.2 * side), round(0.9 * side))
    lost = np.abs(picture - _shrunk_and_enlarged(picture, size))[inner, inner]
    noise = deviation(float(np.median(lost)))
    power = power_beyond(float(np.mean(lost**2)), noise)
    return float(np.sqrt(max(power, 0.0))), noise


def _shrunk_and_enlarged(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    side = picture.shape[0]
    small = warp(picture, geometry.resize_matrix(size / side), size, size)
    back: NDArray[np.float32] = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    return back


@dataclass(slots=True)
class _TrackState:
    """Measurements of one track."""

    crop_size: int
    sides: deque[float] = field(default_factory=lambda: deque(maxlen=_MEASUREMENTS))
    noises: deque[float] = field(default_factory=lambda: deque(maxlen=_MEASUREMENTS))
    steps: deque[float] = field(default_factory=lambda: deque(maxlen=_MEASUREMENTS))
    age: int = 0
    unseen: int = 0

    @property
    def side(self) -> float:
        """Pixels per side that hold the face's detail."""
        return float(np.median(self.sides))

    @property
    def noise(self) -> float:
        """RMS of luma of the finest noise."""
        return float(np.median(self.noises))

    @property
    def noisiness(self) -> float:
        """0 for a clean track, 1 for one whose noise is to be removed."""
        return _ramp(self.noise, _NOISE_LEVELS)

    @property
    def blockiness(self) -> float:
        """0 for a track without blocks, 1 for one whose blocks are to be removed."""
        return _ramp(float(np.median(self.steps)), _BLOCK_LEVELS)


class Aligner(Stage[TrackedFrame, TrackedFrame]):
    """Cuts crops, and collects frames until their crops fill a batch of the networks.

    Frames that leave together stay together in the stages that follow.

    Args:
        operations: How pictures are computed, and where.
        policy: How small crops may be.
        keeps_detail: Never let what lies beyond a crop's band be replaced. For networks that put
            nothing in its place.
        batch: Number of crops at which frames go on.
        lookahead: Number of frames that may wait for a batch to fill.
    """

    def __init__(
        self,
        operations: Operations,
        *,
        policy: CropSizePolicy = LIVE_CROPS,
        keeps_detail: bool = False,
        batch: int = 1,
        lookahead: int = 0,
    ) -> None:
        self.lookahead = lookahead
        self._operations = operations
        self._policy = policy
        self._keeps_detail = keeps_detail
        self._batch = batch
        self._waiting: list[tuple[TrackedFrame, list[_Placed]]] = []
        self._tracks: dict[int, _TrackState] = {}

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Decide on the crops of a frame; cut those of all waiting frames once it is time."""
        if item.cut:
            self._tracks.clear()
        placed = [self._place(item.frame, face) for face in item.faces]
        self._forget()
        self._waiting.append((item, placed))
        crops = sum(face.crops_wanted for _, faces in self._waiting for face in faces)
        if (
            len(self._waiting) > frames_to_hold(self.lookahead, item.frame)
            or crops >= self._batch
            or crops == 0
        ):
            return self.flush()
        return []

    def flush(self) -> list[TrackedFrame]:
        """Cut the crops of all frames that wait."""
        waiting, self._waiting = self._waiting, []
        requests = [
            (item.frame, placed.matrix, placed.side)
            for item, faces in waiting
            for placed in faces
            if placed.matrix is not None
        ]
        pictures = iter(self._operations.sample(requests))
        done = []
        for item, faces in waiting:
            cut = tuple(
                placed.face
                if placed.matrix is None
                else replace(placed.face, crop=Crop(next(pictures), placed.matrix, placed.headroom))
                for placed in faces
            )
            done.append(replace(item, faces=cut))
        return done

    def reset(self) -> None:
        """Forget all tracks and the frames that wait."""
        self._waiting.clear()
        self._tracks.clear()

    def _place(self, frame: Frame, face: Face) -> "_Placed":
        """Decide where and how large the crop of a face is."""
        if face.skipped is not None:
            return _Placed(face)
        try:
            aspect = float(frame.sample_aspect)
            native = geometry.crop_side(face.landmarks, aspect)
            state = self._examine(frame, face, native)
            side = min(state.crop_size, face.largest_crop or state.crop_size)
            matrix = geometry.crop_from_frame(face.landmarks, side, aspect)
            geometry.invert(matrix)
        except DegenerateFaceError:
            return _Placed(replace(face, skipped="landmarks do not form a face"))
        gain = _gain(state.side)
        if gain <= 0:
            return _Placed(replace(face, skipped="already as sharp as the networks could make it"))
        placed = replace(
            face,
            ideal_crop=state.crop_size,
            detail=0.0 if self._keeps_detail else _replaced(native, side, state),
            presence=face.presence * gain,
        )
        if face.head is None or not face.head.has_headroom:
            return _Placed(placed, matrix, side)
        headroom = side // HEADROOM
        matrix = geometry.compose([[1.0, 0.0, headroom / 2], [0.0, 1.0, headroom]], matrix)
        return _Placed(placed, matrix, side + headroom, headroom)

    def _examine(self, frame: Frame, face: Face, native: float) -> _TrackState:
        """Return the track's state, measured again when it is due."""
        state = self._tracks.setdefault(face.track, _TrackState(CROP_SIZES[0]))
        if state.age < _MEASURE_FIRST or state.age % _MEASURE_EVERY == 0:
            side, noise = _measure(frame, face, native)
            state.sides.append(min(side, native))
            state.noises.append(noise)
            state.steps.append(block_steps(frame, face.box))
            detail = _detail_to_hold(native, state, self._policy)
            state.crop_size = _steady_crop_size(state, detail, native, self._policy)
        state.age += 1
        state.unseen = 0
        return state

    def _forget(self) -> None:
        """Drop tracks that have been away for long, so that state stays bounded."""
        for state in self._tracks.values():
            state.unseen += 1
        self._tracks = {k: s for k, s in self._tracks.items() if s.unseen < _FORGET_AFTER}


@dataclass(frozen=True, slots=True)
class _Placed:
    """A face, and the crop that it is to get, if any."""

    face: Face
    matrix: geometry.Matrix | None = None
    side: int = 0
    headroom: int = 0

    @property
    def crops_wanted(self) -> int:
        """1 if the networks will see a crop of this face, else 0."""
        return int(self.matrix is not None and self.face.fresh)


def _measure(frame: Frame, face: Face, native: float) -> tuple[float, float]:
    """Return the pixels per side that hold the face's detail, and the RMS of its finest noise."""
    side = int(np.clip(round(native), CROP_SIZES[0], LARGEST_PROBE))
    matrix = geometry.crop_from_frame(face.landmarks, side, float(frame.sample_aspect))
    luma = sample(frame, matrix, side, side) @ _LUMA
    return detail_side(luma), lost_at(luma, round(side / np.sqrt(2)))[1]


def block_steps(frame: Frame, box: tuple[float, float, float, float]) -> float:
    """Return how much higher the steps at block borders are than those elsewhere in a face.

    Args:
        frame: The frame.
        box: x0, y0, x1, y1 of the face in frame pixels.

    Returns:
        Mean of rows and columns, 1 being white; 0 for faces of fewer than four blocks.
    """
    plane = frame.components[1 if frame.layout.family == "rgb" else 0]
    height, width = plane.shape
    x0, x1 = (int(np.clip(v, 0, width)) // _BLOCK * _BLOCK for v in box[::2])
    y0, y1 = (int(np.clip(v, 0, height)) // _BLOCK * _BLOCK for v in box[1::2])
    if min(x1 - x0, y1 - y0) < 4 * _BLOCK:
        return 0.0
    samples = plane[y0:y1, x0:x1].astype(np.float32)
    steps = [_block_step(samples), _block_step(samples.T)]
    return float(np.mean(steps) / ((1 << frame.layout.bits) - 1))


def _block_step(samples: NDArray[np.float32]) -> float:
    """Return the excess of the steps between the columns of neighbouring blocks."""
    steps = np.abs(np.diff(samples, axis=1)).mean(0)
    # A step is compared with those next to it, so that edges of the face count on both sides.
    excess = steps[1:-1] - 0.5 * (steps[:-2] + steps[2:])
    return float(excess[_BLOCK - 2 :: _BLOCK].mean())


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))


def _detail_to_hold(native: float, state: _TrackState, policy: CropSizePolicy) -> float:
    """Return how many pixels of detail per side the crop should hold.

    Noise and blocks hide detail from the measurement, though not from the networks. So a noisy face
    is taken to hold a good part of its size at least, and the smallest crop is for small faces
    only, or they would come out softer than they went in.
    """
    hidden = policy.hidden * native * state.noisiness
    return max(state.side, hidden, min(0.8 * native, policy.medium))


def _steady_crop_size(
    state: _TrackState, detail: float, native: float, policy: CropSizePolicy
) -> int:
    """Return the crop size for `detail`, but the old one while near its borders."""
    low, now, high = (
        policy.crop_size(detail * factor, state.side * factor, native * factor)
        for factor in (1 / _HYSTERESIS, 1.0, _HYSTERESIS)
    )
    return state.crop_size if low <= state.crop_size <= high else now


def _replaced(native: float, size: int, state: _TrackState) -> float:
    """Return the share of what lies beyond the crop's band that is replaced.

    That band is worth replacing where the frame is much larger than the crop, is noisy or shows the
    blocks of a codec, and has no more detail than the crop holds. Everywhere else it stays.
    """
    room = np.clip(native / size - 1.0, 0.0, 1.0)
    fits = np.clip((1.3 - state.side / size) / 0.4, 0.0, 1.0)
    return float(room * fits * max(state.noisiness, state.blockiness))


def _gain(side: float) -> float:
    """Return the useful share of the correction: all up to the largest crop, none at twice it."""
    return float(np.clip(2.0 - side / CROP_SIZES[-1], 0.0, 1.0))
