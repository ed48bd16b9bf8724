"""What tracking is worth, given the truth; `matching` says which faces count and are the same.

In each frame true and shown faces are paired one to one: those that were a pair in the frame before
stay one as long as they may, then as many as possible are, then the nearest (as CLEAR MOT has it;
Bernardin and Stiefelhagen, 2008).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from crsr_video.evaluation.tracking.layers import Truth
from crsr_video.evaluation.tracking.matching import (
    CLASSES,
    LEAST_WIDTH,
    is_due,
    is_hidden,
    is_shown,
    nearness,
    size_class,
)
from crsr_video.imaging.geometry import Points
from crsr_video.types import Face

_STAYS, _DUE = 1000.0, 10.0
"""What a pair is worth that was one before, and one that is due; how near counts up to 2."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A due face and the one shown for it in one frame."""

    frame: int
    truth: Truth
    track: int
    error: Points
    """(5, 2): shown less true landmarks, pixels."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong where, for whoever wants to look."""

    frame: int
    what: str
    """missed, skipped, false, hidden or switch."""
    id: int
    """The truth's, or the track's if there is no such truth."""
    x: float
    y: float
    width: float


@dataclass
class Score:
    """Everything that is known of one run over one scene."""

    due: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    """Faces that had to be found, by `CLASSES`, summed over frames."""
    hits: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    false: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    """Faces shown that are none, by the width they claim; the smallest count to the first."""
    skipped: int = 0
    """Due faces that were tracked, but marked as not to be used."""
    hidden: int = 0
    """Faces shown where something covers them; among the false ones."""
    switches: int = 0
    """Times a true face was shown under another id than before."""
    fragments: int = 0
    """Times a due face was found again, having been found and then missed."""
    pairs: list[Pair] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    overlaps: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Frames in which a true face and a track could have been a pair, by both ids."""
    shown: Counter[int] = field(default_factory=Counter)
    """Frames in which a track was shown, but for those that do not matter."""
    wanted: Counter[int] = field(default_factory=Counter)
    """Frames in which a true face was due."""

    @property
    def id_true(self) -> int:
        """Frames that are right under the best assignment of tracks to true faces."""
        return _best(self.overlaps)


@dataclass
class Judge:
    """Compares shown with true faces, frame by frame."""

    score: Score = field(default_factory=Score)
    _partners: dict[int, int] = field(default_factory=dict)
    """Track of each true face in the frame before."""
    _known: dict[int, int] = field(default_factory=dict)
    """Track of each true face when it was last found."""
    _gap: set[int] = field(default_factory=set)
    """True faces that were found once, and missed since."""

    def frame(self, index: int, truths: Sequence[Truth], faces: Sequence[Face]) -> None:
        """Take the next frame."""
        shown = [face for face in faces if is_shown(face)]
        near = nearness(truths, shown)
        pairs = self._paired(truths, shown, near)
        self._partners = {truths[i].id: shown[j].track for i, j in pairs}
        taken = {j for _, j in pairs}
        ignored = {j for i, j in pairs if not is_due(truths[i])}
        for j, face in enumerate(shown):
            if j not in taken:
                self._wrong(index, face, truths)
            if j not in ignored:
                self.score.shown[face.track] += 1
        spare = [face for face in faces if not is_shown(face)]
        found = {i: shown[j] for i, j in pairs}
        aside = nearness(truths, spare)
        for i, truth in enumerate(truths):
            if is_due(truth):
                self._due(index, truth, found.get(i), bool((aside[i] > 0).any()))
                for j, face in enumerate(shown):
                    if near[i, j] > 0 and j not in ignored:
                        self.score.overlaps[truth.id, face.track] += 1

    def _paired(
        self, truths: Sequence[Truth], shown: Sequence[Face], near: NDArray[np.float64]
    ) -> list[tuple[int, int]]:
        """Pairs of indices, (truth, shown)."""
        worth = near.copy()
        for i, truth in enumerate(truths):
            for j, face in enumerate(shown):
                if near[i, j] <= 0 or is_hidden(truth):
                    worth[i, j] = 0
                else:
                    stays = self._partners.get(truth.id) == face.track
                    worth[i, j] += _STAYS * stays + _DUE * is_due(truth)
        rows, columns = linear_sum_assignment(-worth)
        return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if worth[i, j] > 0]

    def _due(self, index: int, truth: Truth, face: Face | None, aside: bool) -> None:
        score, kind = self.score, size_class(truth.width)
        assert kind is not None
        score.due[kind] += 1
        score.wanted[truth.id] += 1
        if face is None:
            score.skipped += aside
            self._note(index, "skipped" if aside else "missed", truth.id, truth.box, truth.width)
            if truth.id in self._known:
                self._gap.add(truth.id)
            return
        score.hits[kind] += 1
        score.pairs.append(Pair(index, truth, face.track, face.landmarks - truth.points))
        score.fragments += truth.id in self._gap
        self._gap.discard(truth.id)
        if self._known.get(truth.id, face.track) != face.track:
            score.switches += 1
            self._note(index, "switch", truth.id, truth.box, truth.width)
        self._known[truth.id] = face.track

    def _wrong(self, index: int, face: Face, truths: Sequence[Truth]) -> None:
        near = nearness(truths, [face])[:, 0]
        hidden = any(near[i] > 0 and is_hidden(truth) for i, truth in enumerate(truths))
        width = face.box[2] - face.box[0]
        self.score.hidden += hidden
        self.score.false[size_class(max(width, LEAST_WIDTH)) or 0] += 1
        self._note(index, "hidden" if hidden else "false", face.track, face.box, width)

    def _note(
        self, index: int, what: str, who: int, box: tuple[float, float, float, float], width: float
    ) -> None:
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        self.score.failures.append(Failure(index, what, who, x, y, width))


def _best(overlaps: Counter[tuple[int, int]]) -> int:
    """Most frames that can be right if every true face has one track, and every track one face."""
    if not overlaps:
        return 0
    truths, tracks = (sorted({pair[k] for pair in overlaps}) for k in (0, 1))
    table = np.array([[overlaps[a, b] for b in tracks] for a in truths])
    rows, columns = linear_sum_assignment(-table)
    return int(table[rows, columns].sum())
