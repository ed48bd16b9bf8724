"""Align: cut a canonical crop for each tracked face, at the smallest size that keeps its detail.

A face's size and the detail that it holds are different things: a 300-pixel face that a codec has
blurred to 60 pixels of detail is a 60-pixel face. The networks improve small inputs most, so each
track gets the smallest crop size that loses no real detail.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging import geometry
from crsr_video.imaging.masks import HEADROOM
from crsr_video.imaging.operations import Operations
from crsr_video.stages.base import Stage, frames_to_hold, ramp
from crsr_video.stages.face_detail import block_steps, measure
from crsr_video.types import Crop, Face, Frame, TrackedFrame

CROP_SIZES = (32, 64, 96, 128)
"""Sides of the crops in pixels. The networks are trained with 32, 64 and 128, and gain as much with
96."""

_LARGER_SIZES = (64, 128)
"""Sizes for `CropSizePolicy.native_share`. Compressed faces of 77 to 102 pixels look crisper with
crops of 64 pixels than of 96: the less a crop holds, the more the networks restore."""

_MEASURE_FIRST = 5
_MEASURE_EVERY = 12
"""A track's detail is measured on this many first frames, and then at this interval in frames,
because it changes slowly."""

_MEASUREMENTS = 9
"""Number of a track's latest measurements whose median is used, because codecs make single frames
sharper or softer."""

_FORGET_AFTER_FRAMES = 300
"""Number of frames for which the measurements of a track that is out of view are kept."""

_NOISE_LEVELS = (0.4 / 255, 1.0 / 255)
"""RMS of the finest noise at which its removal begins, and at which all of it is removed. Codecs
leave little of it: 0.3 codes in a clean webcam clip, and 1.2 codes in a visibly noisy clip after
compression."""

_BLOCK_LEVELS = (0.6 / 255, 1.4 / 255)
"""Excess of the steps at block borders over those elsewhere, at which the replacement of detail
beyond the crop's band begins, and at which it is complete. Measured values are 1.1 to 1.6 codes in
MPEG-1, MPEG-4 and coarse H.264, and up to 0.3 codes in clips without visible blocks."""


@dataclass(frozen=True)
class CropSizePolicy:
    """Rules for how small the crop of a face may be."""

    hidden: float
    """Least detail that a noisy face is assumed to hold, as a share of its native size."""
    medium: float
    """Least detail, in pixels per side, that any face is assumed to hold, up to 0.8 of its native
    size."""
    holds: Mapping[int, float]
    """Largest detail, in pixels per side, for which a crop of a given side is used."""
    native_share: float = np.inf
    """If a crop cannot hold the measured detail, one of `_LARGER_SIZES` is used instead, provided
    that the face's native size exceeds this share of its side. Detail that a crop cannot hold stays
    in the frame, together with any compression artifacts in it."""

    def crop_size(self, detail: float, measured: float = 0.0, native: float = 0.0) -> int:
        """Return the smallest crop for a face.

        Args:
            detail: Pixels of detail per side that the crop should hold.
            measured: Pixels of detail per side that were measured.
            native: Side, in pixels, of a crop at the frame's own resolution.
        """
        size = next((size for size, most in self.holds.items() if most >= detail), CROP_SIZES[-1])
        for larger in _LARGER_SIZES:
            if size < min(larger, measured) and native > self.native_share * larger:
                size = larger
        return size


LIVE_CROPS = CropSizePolicy(hidden=0.65, medium=50.0, holds={32: 42.0, 64: 100.0, 96: 140.0})
"""For live enhancement. With these limits, detail beyond a crop's band is faint, and is kept (see
`_replaced`). The largest crop takes four times the work of one of 64 pixels, so it is used for the
finest detail only."""

FAST_CROPS = replace(LIVE_CROPS, native_share=0.8)
"""For fast enhancement that need not run live. On two webcam clips with faces of 115 pixels, crops
of 128 pixels flicker 7 to 8 % less than those of 64, and 4 % less than those of 96 pixels."""

FULL_CROPS = CropSizePolicy(hidden=0.8, medium=80.0, holds={32: 28.0, 64: 60.0, 96: 92.0})
"""For quality: crops are about as large as the face is in its frame, or larger, so that cropping
loses nothing. Degraded talking faces of 24 and 48 pixels gain 0.3 dB for up to four times the work.
"""

_HYSTERESIS = 1.15
"""A track changes its crop size only if its detail is beyond the border by this factor, and the
enlargement of its crop only if its size is."""

_SAMPLES = 1.5
"""Least samples of the enhanced crop per pixel of the result, along one side. With 1.5 samples, the
PSNR of four talking faces is at most 0.012 dB lower than with 2 to 4; with 1.05 samples, smoothing
and pasting cost less still, but one face lost 0.11 dB."""


@dataclass(slots=True)
class _TrackState:
    """Measurements of one track."""

    crop_size: int
    enlargement: int = 0
    """See `Face.enlargement`. 0 if it is not known yet."""
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
        """RMS of the finest noise in luma."""
        return float(np.median(self.noises))

    @property
    def noisiness(self) -> float:
        """Degree from 0 to 1 to which noise is to be removed: 0 for a clean track."""
        return ramp(self.noise, _NOISE_LEVELS)

    @property
    def blockiness(self) -> float:
        """Degree from 0 to 1 to which blocks are to be removed: 0 for a track without blocks."""
        return ramp(float(np.median(self.steps)), _BLOCK_LEVELS)


class Aligner(Stage[TrackedFrame, TrackedFrame]):
    """Cuts crops, and collects frames until their crops fill a batch for the networks.

    Frames that are returned together stay together in the following stages.

    Args:
        operations: Implementation of the picture operations on some device.
        policy: Rules for how small crops may be.
        scale: Enlargement of the whole frame, 1, 2 or 4.
        keeps_detail: Whether detail beyond a crop's band is always kept. This is for networks that
            do not replace it.
        batch: Number of crops at which the waiting frames are returned.
        lookahead: Number of frames that may wait for a batch to fill.
    """

    def __init__(
        self,
        operations: Operations,
        *,
        policy: CropSizePolicy = LIVE_CROPS,
        scale: int = 1,
        keeps_detail: bool = False,
        batch: int = 1,
        lookahead: int = 0,
    ) -> None:
        self.lookahead = lookahead
        self._operations = operations
        self._policy = policy
        self._scale = scale
        self._keeps_detail = keeps_detail
        self._batch = batch
        self._waiting: list[tuple[TrackedFrame, list[_Placed]]] = []
        self._tracks: dict[int, _TrackState] = {}

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Choose the crops of a frame. If a batch is full or cannot wait, cut all waiting crops."""
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
        """Cut the crops of all waiting frames, and return the frames."""
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
        """Forget all tracks and all waiting frames."""
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
            enlargement=_steady_enlargement(state, self._scale * native / side),
            detail=0.0 if self._keeps_detail else _replaced(native, side, state),
            presence=face.presence * gain,
        )
        if face.head is None or not face.head.has_headroom:
            return _Placed(placed, matrix, side)
        headroom = side // HEADROOM
        matrix = geometry.compose([[1.0, 0.0, headroom / 2], [0.0, 1.0, headroom]], matrix)
        return _Placed(placed, matrix, side + headroom, headroom)

    def _examine(self, frame: Frame, face: Face, native: float) -> _TrackState:
        """Return the track's state. Measure it again if that is due."""
        state = self._tracks.setdefault(face.track, _TrackState(CROP_SIZES[0]))
        if state.age < _MEASURE_FIRST or state.age % _MEASURE_EVERY == 0:
            side, noise = measure(frame, face, native)
            state.sides.append(min(side, native))
            state.noises.append(noise)
            state.steps.append(block_steps(frame, face.box))
            detail = _detail_to_hold(native, state, self._policy)
            state.crop_size = _steady_crop_size(state, detail, native, self._policy)
        state.age += 1
        state.unseen = 0
        return state

    def _forget(self) -> None:
        """Drop tracks that have been out of view for long, so that memory stays bounded."""
        for state in self._tracks.values():
            state.unseen += 1
        self._tracks = {k: s for k, s in self._tracks.items() if s.unseen < _FORGET_AFTER_FRAMES}


@dataclass(frozen=True, slots=True)
class _Placed:
    """A face, and the position and size of its crop, if it gets one."""

    face: Face
    matrix: geometry.Matrix | None = None
    side: int = 0
    headroom: int = 0

    @property
    def crops_wanted(self) -> int:
        """1 if the networks will process a crop of this face, else 0."""
        return int(self.matrix is not None and self.face.fresh)


def _detail_to_hold(native: float, state: _TrackState, policy: CropSizePolicy) -> float:
    """Return how many pixels of detail per side the crop should hold.

    Noise and blocks hide detail from the measurement, though not from the networks. A noisy face is
    therefore assumed to hold at least a large share of its native size. The smallest crop is used
    for small faces only, because larger faces would become softer.
    """
    hidden = policy.hidden * native * state.noisiness
    return max(state.side, hidden, min(0.8 * native, policy.medium))


def _steady_crop_size(
    state: _TrackState, detail: float, native: float, policy: CropSizePolicy
) -> int:
    """Return the crop size for `detail`, or the present one if `detail` is near its borders."""
    low, now, high = (
        policy.crop_size(detail * factor, state.side * factor, native * factor)
        for factor in (1 / _HYSTERESIS, 1.0, _HYSTERESIS)
    )
    return state.crop_size if low <= state.crop_size <= high else now


def _steady_enlargement(state: _TrackState, pixels: float) -> int:
    """Return by how much the crop is to be enlarged for a result with `pixels` per crop pixel.

    The present enlargement is kept if the number of pixels is near its borders.
    """
    low, now, high = (
        int(np.clip(np.ceil(_SAMPLES * pixels * factor), 1, 4))
        for factor in (1 / _HYSTERESIS, 1.0, _HYSTERESIS)
    )
    if not low <= state.enlargement <= high:
        state.enlargement = now
    return state.enlargement


def _replaced(native: float, size: int, state: _TrackState) -> float:
    """Return the share of the frame's detail beyond the crop's band that is replaced.

    It is worth replacing if the face is much larger in the frame than in the crop, is noisy or
    shows the blocks of a codec, and has no more detail than the crop holds. Otherwise it is kept.
    """
    room = np.clip(native / size - 1.0, 0.0, 1.0)
    fits = np.clip((1.3 - state.side / size) / 0.4, 0.0, 1.0)
    return float(room * fits * max(state.noisiness, state.blockiness))


def _gain(side: float) -> float:
    """Return the useful share of the correction: 1 up to the largest crop, 0 from twice that."""
    return float(np.clip(2.0 - side / CROP_SIZES[-1], 0.0, 1.0))
