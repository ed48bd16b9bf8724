"""Comparison of tracked faces with the ground truth.

A tracked face matches a true one if their boxes overlap by 0.4 (intersection over union), or if
their centres are less than half a face width apart and neither is twice as large as the other.

A true face is *due* if at least half of it is visible and three quarters of it are inside the
frame. A face that is covered (inside the frame, but less than a tenth visible) must not be found.
Everything in between, and faces narrower than 16 pixels, may be found or not.

In each frame, true and tracked faces are paired one to one. Pairs of the previous frame are kept as
long as they match. Then as many due faces as possible get a partner, and among the remaining
choices the best match wins (as in CLEAR MOT; Bernardin and Stiefelhagen 2008).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from crsr_video.evaluation.tracking.drawing import Truth
from crsr_video.imaging.geometry import Points, intersection_over_union
from crsr_video.types import Face

CLASSES: tuple[tuple[float, float], ...] = ((16, 24), (24, 32), (32, 64), (64, np.inf))
"""Ranges of face widths in pixels, excluding the upper bound."""
MIN_WIDTH_PX = 16.0
MIN_VISIBLE, MIN_INSIDE = 0.5, 0.75
"""Smallest visible share, and smallest share inside the frame, of a face that is due."""
MAX_COVERED_VISIBLE = 0.1
"""A face is covered if a smaller share of it is visible."""
_MIN_OVERLAP, _MAX_DISTANCE, _MAX_SIZE_RATIO = 0.4, 0.5, 2.0


def is_due(face: Truth) -> bool:
    """Whether the tracker must find this face."""
    clear = face.visible >= MIN_VISIBLE and face.inside >= MIN_INSIDE
    return clear and face.width >= MIN_WIDTH_PX


def is_covered(face: Truth) -> bool:
    """Whether something hides this face, so that the tracker must not find it."""
    return face.visible < MAX_COVERED_VISIBLE and face.inside >= MIN_INSIDE


def size_class(width: float) -> int | None:
    """Index into `CLASSES`, or None for faces that are too small to count."""
    return next((n for n, (low, high) in enumerate(CLASSES) if low <= width < high), None)


def is_usable(face: Face) -> bool:
    """Whether later stages would use this tracked face."""
    return face.presence > 0 and face.skipped is None


def match_quality(truths: Sequence[Truth], faces: Sequence[Face]) -> NDArray[np.float64]:
    """Return the match quality of every true face (row) with every tracked face (column).

    Returns:
        0 without a match, and otherwise the overlap of the boxes plus the closeness of the centres,
        which is at most 2.
    """
    true, tracked = (np.array([x.box for x in some]).reshape(-1, 4) for some in (truths, faces))
    overlap = intersection_over_union(true, tracked)
    a, b = true[:, None], tracked[None]
    between = np.hypot(*np.moveaxis((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2, -1, 0))
    apart = between / np.array([t.width for t in truths]).reshape(-1, 1)
    areas = [np.maximum((box[..., 2:] - box[..., :2]).prod(-1), 1e-9) for box in (a, b)]
    alike = np.abs(np.log(areas[0] / areas[1])) < 2 * np.log(_MAX_SIZE_RATIO)
    same = (overlap >= _MIN_OVERLAP) | ((apart < _MAX_DISTANCE) & alike)
    return np.where(same, overlap + 1 / (1 + apart), 0.0)


_KEPT_PAIR, _DUE_PAIR = 1000.0, 10.0
"""Bonuses on the match quality: for a pair of the previous frame, and for a due face."""


@dataclass(frozen=True, slots=True)
class MatchedFace:
    """A due face and the tracked face that matches it in one frame."""

    frame: int
    truth: Truth
    track: int
    error: Points
    """(5, 2): tracked minus true landmarks in pixels."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the tracker in one frame."""

    frame: int
    kind: str
    """Kind of the failure: missed, skipped, false, hidden or switch."""
    id: int
    """ID of the true face, or the track ID if there is no true face."""
    x: float
    y: float
    width: float


@dataclass
class Score:
    """Counts of one run over one scene."""

    due: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    """Due faces by `CLASSES`, summed over frames."""
    hits: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    false: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    """False faces by the class of their own width. Narrower faces count in the first class."""
    skipped: int = 0
    """Due faces that were tracked, but not as usable faces."""
    hidden: int = 0
    """False faces that match a covered face."""
    switches: int = 0
    """Changes of the track ID of a true face."""
    fragments: int = 0
    """Due faces that were found again after they had been missed."""
    pairs: list[MatchedFace] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    overlaps: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Number of frames in which a due face and a track match, by both IDs."""
    tracked: Counter[int] = field(default_factory=Counter)
    """Number of frames of each track, except those in which its partner is not due."""
    due_frames: Counter[int] = field(default_factory=Counter)
    """Number of frames in which each true face was due."""

    @property
    def id_true(self) -> int:
        """Number of correct frames under the best assignment of tracks to true faces."""
        return _best(self.overlaps)


@dataclass
class Scorer:
    """Compares tracked with true faces, frame by frame."""

    score: Score = field(default_factory=Score)
    _partners: dict[int, int] = field(default_factory=dict)
    """Track ID of each true face in the previous frame."""
    _known: dict[int, int] = field(default_factory=dict)
    """Track ID of each true face when it was last found."""
    _lost: set[int] = field(default_factory=set)
    """IDs of the true faces that were found once and have been missed since."""

    def add_frame(self, index: int, truths: Sequence[Truth], faces: Sequence[Face]) -> None:
        """Compare the faces of the next frame."""
        usable = [face for face in faces if is_usable(face)]
        near = match_quality(truths, usable)
        pairs = self._paired(truths, usable, near)
        self._partners = {truths[i].id: usable[j].track for i, j in pairs}
        taken = {j for _, j in pairs}
        ignored = {j for i, j in pairs if not is_due(truths[i])}
        for j, face in enumerate(usable):
            if j not in taken:
                self._count_false(index, face, truths)
            if j not in ignored:
                self.score.tracked[face.track] += 1
        unusable = [face for face in faces if not is_usable(face)]
        found = {i: usable[j] for i, j in pairs}
        aside = match_quality(truths, unusable)
        for i, truth in enumerate(truths):
            if is_due(truth):
                self._count_due(index, truth, found.get(i), bool((aside[i] > 0).any()))
                for j, face in enumerate(usable):
                    if near[i, j] > 0 and j not in ignored:
                        self.score.overlaps[truth.id, face.track] += 1

    def _paired(
        self, truths: Sequence[Truth], usable: Sequence[Face], near: NDArray[np.float64]
    ) -> list[tuple[int, int]]:
        """Return pairs of indices, (true, tracked)."""
        worth = near.copy()
        for i, truth in enumerate(truths):
            for j, face in enumerate(usable):
                if near[i, j] <= 0 or is_covered(truth):
                    worth[i, j] = 0
                else:
                    stays = self._partners.get(truth.id) == face.track
                    worth[i, j] += _KEPT_PAIR * stays + _DUE_PAIR * is_due(truth)
        rows, columns = linear_sum_assignment(-worth)
        return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if worth[i, j] > 0]

    def _count_due(self, index: int, truth: Truth, face: Face | None, aside: bool) -> None:
        score, kind = self.score, size_class(truth.width)
        assert kind is not None
        score.due[kind] += 1
        score.due_frames[truth.id] += 1
        if face is None:
            score.skipped += aside
            self._note(index, "skipped" if aside else "missed", truth.id, truth.box, truth.width)
            if truth.id in self._known:
                self._lost.add(truth.id)
            return
        score.hits[kind] += 1
        score.pairs.append(MatchedFace(index, truth, face.track, face.landmarks - truth.points))
        score.fragments += truth.id in self._lost
        self._lost.discard(truth.id)
        if self._known.get(truth.id, face.track) != face.track:
            score.switches += 1
            self._note(index, "switch", truth.id, truth.box, truth.width)
        self._known[truth.id] = face.track

    def _count_false(self, index: int, face: Face, truths: Sequence[Truth]) -> None:
        near = match_quality(truths, [face])[:, 0]
        hidden = any(near[i] > 0 and is_covered(truth) for i, truth in enumerate(truths))
        width = face.box[2] - face.box[0]
        self.score.hidden += hidden
        self.score.false[size_class(max(width, MIN_WIDTH_PX)) or 0] += 1
        self._note(index, "hidden" if hidden else "false", face.track, face.box, width)

    def _note(
        self,
        index: int,
        kind: str,
        face_id: int,
        box: tuple[float, float, float, float],
        width: float,
    ) -> None:
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        self.score.failures.append(Failure(index, kind, face_id, x, y, width))


def _best(overlaps: Counter[tuple[int, int]]) -> int:
    """Return the most correct frames if true faces and tracks are assigned one to one."""
    if not overlaps:
        return 0
    truths, tracks = (sorted({pair[k] for pair in overlaps}) for k in (0, 1))
    table = np.array([[overlaps[a, b] for b in tracks] for a in truths])
    rows, columns = linear_sum_assignment(-table)
    return int(table[rows, columns].sum())
