"""Figures of merit from what was counted, of one scene or of several together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import nan

import numpy as np
from numpy.typing import NDArray

from crsr_video.evaluation.tracking.matching import CLASSES
from crsr_video.evaluation.tracking.measures import Pair, Score

Values = NDArray[np.float64]

OFF = 0.15
"""Mean distance of landmarks from the truth, in face widths, at which they are of no use."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the table shows; not a number where there was nothing to measure."""

    due: int
    """Faces that had to be found, summed over frames."""
    recall: float
    recalls: tuple[float, ...]
    """By `matching.CLASSES`."""
    precision: float
    precisions: tuple[float, ...]
    false: int
    """Faces shown that are none."""
    hidden: int
    """Of these, on a face that is covered."""
    skipped: int
    """Due faces that were tracked, but not to be used."""
    idf1: float
    switches: int
    fragments: int
    error: float
    """Mean distance of landmarks from the truth, in face widths."""
    error_95: float
    """The distance that 95 of 100 stay below."""
    misplaced: int
    """Faces found whose landmarks are off by more than `OFF` on average: a wrong face would be
    pasted there."""
    wander: float
    """Likewise the mean about each face's own mean offset, so that a person whose features do not
    lie as the template's (or as another's idea of them) does not count."""
    jitter: float
    """Root mean square of what a landmark moves from frame to frame against the truth, pixels."""
    jitter_most: float
    """The largest such move."""

    def as_dict(self) -> dict[str, object]:
        """For JSON, rounded to what the figures are worth; None where there is nothing."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def _rounded(value: object) -> object:
    if isinstance(value, tuple):
        return [_rounded(v) for v in value]
    if isinstance(value, float):
        return round(value, 4) if np.isfinite(value) else None
    return value


def figures(scores: Sequence[Score]) -> Figures:
    """Of some scenes together: every face of every frame counts alike."""
    kinds = range(len(CLASSES))
    due = [sum(s.due[k] for s in scores) for k in kinds]
    hits = [sum(s.hits[k] for s in scores) for k in kinds]
    false = [sum(s.false[k] for s in scores) for k in kinds]
    ids = sum(s.id_true for s in scores)
    both = sum(sum(s.wanted.values()) + sum(s.shown.values()) for s in scores)
    errors = _joined([_distances(s.pairs) for s in scores])
    moves = _joined([jitter(s.pairs) for s in scores])
    return Figures(
        due=sum(due),
        recall=_share(sum(hits), sum(due)),
        recalls=tuple(_share(hits[k], due[k]) for k in kinds),
        precision=_share(sum(hits), sum(hits) + sum(false)),
        precisions=tuple(_share(hits[k], hits[k] + false[k]) for k in kinds),
        false=sum(false),
        hidden=sum(s.hidden for s in scores),
        skipped=sum(s.skipped for s in scores),
        idf1=_share(2 * ids, both),
        switches=sum(s.switches for s in scores),
        fragments=sum(s.fragments for s in scores),
        error=float(errors.mean()) if errors.size else nan,
        error_95=float(np.percentile(errors, 95)) if errors.size else nan,
        misplaced=sum(_is_off(pair) for s in scores for pair in s.pairs),
        wander=_mean(_joined([wander(s.pairs) for s in scores])),
        jitter=float(np.sqrt((moves**2).mean())) if moves.size else nan,
        jitter_most=float(moves.max()) if moves.size else nan,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _mean(values: Values) -> float:
    return float(values.mean()) if values.size else nan


def _joined(values: Sequence[Values]) -> Values:
    return np.concatenate([np.zeros(0), *values])


def _is_off(pair: Pair) -> bool:
    return float(np.linalg.norm(pair.error, axis=1).mean()) > OFF * pair.truth.width


def _distances(pairs: Sequence[Pair]) -> Values:
    """Of every landmark from the truth, in face widths."""
    return np.concatenate(
        [np.zeros(0), *(np.linalg.norm(p.error, axis=1) / p.truth.width for p in pairs)]
    )


def wander(pairs: Sequence[Pair]) -> Values:
    """Distances of a face's landmarks from their own mean place on it, in face widths."""
    by_face: dict[int, list[Values]] = {}
    for pair in pairs:
        eyes = (pair.truth.points[1] - pair.truth.points[0]) @ np.array([1, 1j])
        own = pair.error @ np.array([1, 1j]) * np.conj(eyes) / abs(eyes) / pair.truth.width
        by_face.setdefault(pair.truth.id, []).append(own)
    stacked = [np.array(rows) for rows in by_face.values() if len(rows) > 1]
    return _joined([np.abs(rows - rows.mean(0)).ravel() for rows in stacked])


def jitter(pairs: Sequence[Pair]) -> Values:
    """What each landmark moves between frames that follow each other, less the truth's move; px."""
    by_face: dict[tuple[int, int], list[Pair]] = {}
    for pair in pairs:
        by_face.setdefault((pair.truth.id, pair.track), []).append(pair)
    moves = [
        np.linalg.norm(b.error - a.error, axis=1)
        for several in by_face.values()
        for a, b in pairwise(several)
        if b.frame == a.frame + 1
    ]
    return _joined(moves)
