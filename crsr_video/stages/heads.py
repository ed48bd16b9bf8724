"""Heads: find the soft mask of a whole head, with its hair, ears and neck.

This stage runs before align. A person model separates the head from the background every few
frames. In between, the mask moves with the face, because it is defined in the face's crop. The mask
ends in the background rather than in the hair, excludes the heads of other people, and always
contains the mask of the face itself.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging.geometry import Matrix, compose, crop_from_frame, invert
from crsr_video.imaging.masks import FACE_WINDOW, HEADROOM, face_mask
from crsr_video.imaging.resampling import sample
from crsr_video.stages.base import Stage
from crsr_video.types import Face, FloatPicture, Frame, HeadMask, TrackedFrame, Window

CANONICAL_CELLS = 64
"""Cells per side of the canonical crop."""
_ABOVE = CANONICAL_CELLS // HEADROOM
CELLS = CANONICAL_CELLS + _ABOVE
"""Cells per side of a mask."""

_MARGIN_SHARE = 1 / 8
"""Margin on each side of the mask, as a share of the segmented square, to include shoulders."""
_GROWTH_CELLS = 2
"""Cells by which the person is dilated, so that the mask fades outside the hair."""
_BLUR_CELLS = 1.5
"""Standard deviation of the Gaussian that softens the edge, in cells."""
_CENTRE, _RADII, _SOFTNESS = (0.5, 0.43), (0.54, 0.6), 0.2
"""Centre and radii of the ellipse that contains every head, as fractions of the crop's side, and
the fraction of the radius over which it fades. It includes voluminous hair, but not shoulders."""
_EDGE_CELLS = 4
"""Cells over which a mask falls to zero at the edge of the crop."""
_INVISIBLE = 1 / 256
"""Mask values below this are set to zero."""
_NEWEST_MASK_WEIGHT = 0.3
"""Share of the difference to the newest mask by which a mask changes in one frame."""
_FEW_CELLS = 8
"""Strips of a mask that add up to at most this many cells do not enlarge the part of the crop that
is computed."""
_BORDER = 0.25
"""Width of the soft border between two heads, in radii of a head."""
_HEAD_CENTRE, _HEAD_RADII = (0.5, 0.5), (0.33, 0.45)
"""Ellipse of an average head, as fractions of the crop's side. It separates adjacent heads."""
_FORGET_AFTER_FRAMES = 30
"""Number of frames for which the state of an unseen track is kept."""

_MOST_TURNS = 4
"""Number of examinations after which a head is computed again even if it has not changed."""
_TOLERANCE, _MOST_LOST = 0.09, 0.15
"""A head has changed if `head_detail` would carry less than 1 - `_MOST_LOST` of the detail around
its face over to it. The tolerance is that of `head_detail`."""

_WHOLE: Window = (-2, 16, -1, 17)
_CANONICAL_PART: Window = (0, 16, 0, 16)
_STEADY_FRAMES = 96
"""Frames after which the part of the crop may become smaller again."""


class PeopleFinder(Protocol):
    """Separates people from the background, such as `track.person.PersonModel`."""

    def segment(self, frame: Frame, square_from_frame: Matrix) -> FloatPicture:
        """Return the probability that each place of a square part of a frame shows a person.

        Args:
            frame: The frame.
            square_from_frame: 2x3 matrix from frame pixels to fractions of the square.

        Returns:
            (N, N) in [0, 1], where N is a multiple of 8.
        """
        ...

    def close(self) -> None:
        """Free the model."""
        ...


@dataclass(slots=True)
class _TrackState:
    """State of the mask of one track."""

    newest: FloatPicture
    """The person in the last output of the model."""
    shown: FloatPicture
    """The current mask, which follows `newest` smoothly."""
    picture: FloatPicture
    """Thumbnail of the crop when the model was last applied."""
    number: int
    """Number in order of appearance. Unlike the track ID, it does not depend on earlier videos."""
    part: Window = FACE_WINDOW
    """The part of the crop that was needed recently."""
    limit: FloatPicture | None = None
    """Upper limit of the mask, which follows changes of that part smoothly."""
    has_headroom: bool = False
    """Whether the head has ever reached beyond its crop. The headroom is then kept."""
    turns: int = 0
    """Number of examinations since the model was last applied."""
    age: int = 0
    unseen: int = 0


class HeadMasks(Stage[TrackedFrame, TrackedFrame]):
    """Fills `Face.head`.

    Args:
        finder: Separates people from the background. This stage closes it.
        every: A head is examined once in this many frames. If its picture has changed since the
            last time, `finder` is applied to it, and the networks process the whole head. Both
            happen at least at every fourth examination.
        whole: Whether every mask covers the whole crop with its headroom, so that all faces can
            be computed together.
    """

    def __init__(self, finder: PeopleFinder, *, every: int = 8, whole: bool = False) -> None:
        self._finder = finder
        self._every = every
        self._whole = whole
        self._tracks: dict[int, _TrackState] = {}
        self._count = 0

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Return the frame with a mask for each face that is enhanced."""
        if item.cut:
            self._tracks.clear()
        for state in self._tracks.values():
            state.unseen += 1
        places = [_canonical_from_frame(item.frame, face) for face in item.faces]
        faces = []
        for face, place in zip(item.faces, places, strict=True):
            if face.skipped is None and place is not None:
                others = [other for other in places if other is not None and other is not place]
                face = replace(face, head=self._mask(item.frame, face.track, place, others))
            faces.append(face)
        self._tracks = {k: s for k, s in self._tracks.items() if s.unseen < _FORGET_AFTER_FRAMES}
        return [replace(item, faces=tuple(faces))]

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks.clear()
        self._count = 0

    def close(self) -> None:
        """Free the model."""
        self._finder.close()

    def _mask(self, frame: Frame, track: int, place: Matrix, others: list[Matrix]) -> HeadMask:
        """Return the mask of one head.

        Args:
            frame: The frame.
            track: Track ID of the face.
            place: Matrix from frame pixels to fractions of the face's canonical crop.
            others: The same matrix for each of the other faces of the frame.
        """
        state = self._tracks.get(track)
        if state is None:
            person = self._person(frame, place)
            self._count += 1
            picture = _thumbnail(frame, place)
            state = self._tracks[track] = _TrackState(person, person, picture, self._count)
            is_due = True
        else:
            is_due = self._is_due(state, frame, place)
            if is_due:
                state.newest = self._person(frame, place)
        state.shown = state.shown + _NEWEST_MASK_WEIGHT * (state.newest - state.shown)
        shares = state.shown
        for other in others:
            shares = shares * _nearness(place, other)
        is_fresh = is_due or self._whole
        if is_fresh:
            self._choose_part(state, shares)
        limit = _limit(state.has_headroom) * _edges(state.part)
        if state.limit is not None:
            limit = np.minimum(limit, state.limit + _NEWEST_MASK_WEIGHT * (limit - state.limit))
        state.limit = limit
        shares = shares * limit
        # The face is always part of the head, even where the model finds no person.
        shares = np.maximum(shares, _face())
        state.age += 1
        state.unseen = 0
        return HeadMask(shares, state.part, state.has_headroom, is_fresh)

    def _is_due(self, state: _TrackState, frame: Frame, place: Matrix) -> bool:
        """Return whether a head must be segmented and computed again."""
        # Faces take turns, so that no frame waits for all of them.
        if state.unseen <= 1 and (state.age + state.number) % self._every:
            return False
        state.turns += 1
        picture = _thumbnail(frame, place)
        around = cv2.resize(
            (state.shown - _face()).clip(0), picture.shape[:2], interpolation=cv2.INTER_AREA
        )
        lost = 1 - np.exp(-((np.abs(picture - state.picture).max(2) / _TOLERANCE) ** 2))
        is_calm = float((around * lost).sum()) <= _MOST_LOST * float(around.sum())
        if is_calm and state.unseen <= 1 and state.turns < _MOST_TURNS:
            return False
        state.turns, state.picture = 0, picture
        return True

    def _choose_part(self, state: _TrackState, shares: FloatPicture) -> None:
        """Choose the part of the crop that the networks must process for a whole head."""
        if self._whole:
            state.part, state.has_headroom = _WHOLE, True
            return
        beyond = shares * (_limit(True) - _limit(False))
        state.has_headroom |= float(beyond.sum()) > 2 * _FEW_CELLS
        needed = _smallest_part(shares * _limit(state.has_headroom))
        if state.age % _STEADY_FRAMES == 0:
            state.part = needed
        else:
            top, _, left, right = (
                pick(pair)
                for pick, pair in zip(
                    (min, max, min, max), zip(state.part, needed, strict=True), strict=True
                )
            )
            state.part = (top, 16, left, right)

    def _person(self, frame: Frame, canonical_from_frame: Matrix) -> FloatPicture:
        """Return the dilated, softened mask of the person in a crop, (CELLS, CELLS) in [0, 1]."""
        inner = (1 - 2 * _MARGIN_SHARE) * CANONICAL_CELLS / CELLS
        left = _MARGIN_SHARE + (1 - 2 * _MARGIN_SHARE) * _ABOVE / 2 / CELLS
        top = _MARGIN_SHARE + (1 - 2 * _MARGIN_SHARE) * _ABOVE / CELLS
        square_from_canonical = [[inner, 0.0, left], [0.0, inner, top]]
        seen = self._finder.segment(frame, compose(square_from_canonical, canonical_from_frame))
        edge = round(_MARGIN_SHARE * len(seen))
        person = cv2.resize(
            seen[edge:-edge, edge:-edge], (CELLS, CELLS), interpolation=cv2.INTER_AREA
        )
        grown = cv2.dilate(person, _disc())
        soft: FloatPicture = cv2.GaussianBlur(grown, (0, 0), _BLUR_CELLS)
        soft[soft < _INVISIBLE] = 0  # Otherwise the mask would reach far into the background.
        return soft


def _thumbnail(frame: Frame, canonical_from_frame: Matrix) -> FloatPicture:
    """Return a small picture of a head, with two pixels for each cell of an eighth of its crop."""
    scale, side = CANONICAL_CELLS / 4, CELLS // 4
    before = _ABOVE / 4
    matrix = [[scale, 0.0, before / 2 - 0.5], [0.0, scale, before - 0.5]]
    return sample(frame, compose(matrix, canonical_from_frame), side, side)


@lru_cache(maxsize=1)
def _face() -> FloatPicture:
    """Return the mask of the face, set to zero at the edges of `FACE_WINDOW`."""
    left = _ABOVE // 2
    face = np.pad(face_mask(CANONICAL_CELLS), ((_ABOVE, 0), (left, left)))
    return face * (_edges(FACE_WINDOW) > 0)


@lru_cache(maxsize=2)
def _limit(has_headroom: bool) -> FloatPicture:
    """Return the upper limit of any mask. It is 0 at the edges of the crop or its headroom."""
    y, x = _fractions()
    radius = np.hypot((x - _CENTRE[0]) / _RADII[0], (y - _CENTRE[1]) / _RADII[1])
    ellipse = _smoothstep(np.clip((1 - radius) / _SOFTNESS, 0, 1))
    return np.minimum(ellipse, _edges(_WHOLE if has_headroom else _CANONICAL_PART))


def _fractions() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the positions of rows and of columns of cells, as fractions of the canonical crop."""
    cells = np.arange(CELLS) + 0.5
    return (cells[:, None] - _ABOVE) / CANONICAL_CELLS, (cells - _ABOVE / 2) / CANONICAL_CELLS


def _smoothstep(ramp: NDArray[np.floating]) -> FloatPicture:
    return (ramp**2 * (3 - 2 * ramp)).astype(np.float32)


def _smallest_part(shares: FloatPicture) -> Window:
    """Return the smallest part of a crop that contains nearly all of a mask.

    Nearly empty strips are left out, because the cost of the networks grows with the area.
    """
    step = CANONICAL_CELLS // 16
    top, bottom, left, right = _WHOLE
    rows, columns = shares.sum(1), shares.sum(0)
    while top < 2 and rows[: _ABOVE + (top + 1) * step].sum() <= _FEW_CELLS:
        top += 1
    while left < 2 and columns[: _ABOVE // 2 + (left + 1) * step].sum() <= _FEW_CELLS:
        left += 1
    while right > 14 and columns[_ABOVE // 2 + (right - 1) * step :].sum() <= _FEW_CELLS:
        right -= 1
    return top, bottom, left, right


@lru_cache(maxsize=64)
def _edges(part: Window) -> FloatPicture:
    """Return a mask that falls softly to zero at the edges of a part of the crop."""
    step = CANONICAL_CELLS // 16
    top, bottom, left, right = (edge * step for edge in part)
    inside = np.zeros((CELLS + 2, CELLS + 2), np.uint8)
    inside[
        1 + _ABOVE + top : 1 + _ABOVE + bottom, 1 + _ABOVE // 2 + left : 1 + _ABOVE // 2 + right
    ] = 1
    distance = cv2.distanceTransform(inside, cv2.DIST_L1, 3)[1:-1, 1:-1]
    # The outermost cells are zero, because the edges of the part are repeated where it is pasted.
    return _smoothstep(np.clip((distance - 1) / _EDGE_CELLS, 0, 1))


def _canonical_from_frame(frame: Frame, face: Face) -> Matrix | None:
    """Return the 2x3 matrix from frame pixels to fractions of a face's canonical crop.

    Return None if the landmarks do not form a face.
    """
    try:
        unit = crop_from_frame(face.landmarks, 1, float(frame.sample_aspect))
        invert(unit)
    except DegenerateFaceError:
        return None
    unit[:, 2] += 0.5  # Convert pixel centres to fractions of the side.
    return unit


def _nearness(ours_from_frame: Matrix, theirs_from_frame: Matrix) -> FloatPicture:
    """Return a soft mask of the places in a crop that are nearer to its own head than to another.

    Returns:
        (CELLS, CELLS) in [0, 1].
    """
    m = compose(theirs_from_frame, invert(ours_from_frame))
    y, x = _fractions()
    theirs = _radius(m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2])
    nearer: FloatPicture = np.clip((theirs - _radius(x, y)) / _BORDER + 0.5, 0, 1)
    return nearer.astype(np.float32)


def _radius(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the distance from the head's centre, which is 1 on the head's ellipse."""
    (cx, cy), (rx, ry) = _HEAD_CENTRE, _HEAD_RADII
    radius: NDArray[np.floating] = np.hypot((x - cx) / rx, (y - cy) / ry)
    return radius


@lru_cache(maxsize=1)
def _disc() -> NDArray[np.uint8]:
    side = 2 * _GROWTH_CELLS + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
