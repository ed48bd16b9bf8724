"""Results of the tracking evaluation: figures of merit, tables, and values for JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crsr_video.evaluation.tracking.scenes import Scene
from crsr_video.evaluation.tracking.scoring import CLASSES, Failure, MatchedFace, Score
from crsr_video.formatting import markdown_table

Values = NDArray[np.float64]

MAX_ERROR = 0.15
"""Mean landmark error, in face widths, above which a face counts as misplaced."""


@dataclass(frozen=True, slots=True)
class TrackingFigures:
    """TrackingFigures of merit. A value is NaN if there was nothing to measure."""

    due: int
    """Due faces, summed over frames."""
    recall: float
    recalls: tuple[float, ...]
    """Recall for each class of face widths in `scoring.CLASSES`."""
    precision: float
    precisions: tuple[float, ...]
    false: int
    """Faces that do not match a true face."""
    hidden: int
    """False faces that match a covered face."""
    skipped: int
    """Due faces that were tracked, but are not usable."""
    idf1: float
    switches: int
    fragments: int
    error: float
    error_95: float
    misplaced: int
    """Faces with a mean landmark error above `MAX_ERROR`, where a wrong face would be pasted."""
    deviation: float
    """Mean distance of each landmark from its mean position on the same face, in face widths. A
    constant offset does not count, such as that of a person whose features differ from the
    template."""
    jitter: float
    """Root mean square of the motion of landmarks relative to the truth, in pixels per frame."""
    jitter_max: float
    """Largest motion of a landmark relative to the truth, in pixels per frame."""

    def as_dict(self) -> dict[str, object]:
        """Return the figures for JSON, rounded, with None in place of NaN."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def _rounded(value: object) -> object:
    if isinstance(value, tuple):
        return [_rounded(v) for v in value]
    if isinstance(value, float):
        return round(value, 4) if np.isfinite(value) else None
    return value


def figures(scores: Sequence[Score]) -> TrackingFigures:
    """Return the figures of several scenes together. Each face in each frame weighs the same."""
    kinds = range(len(CLASSES))
    due = [sum(s.due[k] for s in scores) for k in kinds]
    hits = [sum(s.hits[k] for s in scores) for k in kinds]
    false = [sum(s.false[k] for s in scores) for k in kinds]
    ids = sum(s.id_true for s in scores)
    both = sum(sum(s.due_frames.values()) + sum(s.tracked.values()) for s in scores)
    by_pair = [np.linalg.norm(p.error, axis=1) / p.truth.width for s in scores for p in s.pairs]
    errors = _joined(by_pair)
    moves = _joined([jitter(s.pairs) for s in scores])
    return TrackingFigures(
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
        misplaced=sum(float(error.mean()) > MAX_ERROR for error in by_pair),
        deviation=_mean(_joined([deviation(s.pairs) for s in scores])),
        jitter=float(np.sqrt((moves**2).mean())) if moves.size else nan,
        jitter_max=float(moves.max()) if moves.size else nan,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _mean(values: Values) -> float:
    return float(values.mean()) if values.size else nan


def _joined(values: Sequence[Values]) -> Values:
    return np.concatenate([np.zeros(0), *values])


def deviation(pairs: Sequence[MatchedFace]) -> Values:
    """Return the distance of each landmark from its mean position on the face, in face widths."""
    by_face: dict[int, list[Values]] = {}
    for pair in pairs:
        eyes = (pair.truth.points[1] - pair.truth.points[0]) @ np.array([1, 1j])
        own = pair.error @ np.array([1, 1j]) * np.conj(eyes) / abs(eyes) / pair.truth.width
        by_face.setdefault(pair.truth.id, []).append(own)
    stacked = [np.array(rows) for rows in by_face.values() if len(rows) > 1]
    return _joined([np.abs(rows - rows.mean(0)).ravel() for rows in stacked])


def jitter(pairs: Sequence[MatchedFace]) -> Values:
    """Return each landmark's motion between successive frames minus the true one, in pixels."""
    by_face: dict[tuple[int, int], list[MatchedFace]] = {}
    for pair in pairs:
        by_face.setdefault((pair.truth.id, pair.track), []).append(pair)
    moves = [
        np.linalg.norm(b.error - a.error, axis=1)
        for several in by_face.values()
        for a, b in pairwise(several)
        if b.frame == a.frame + 1
    ]
    return _joined(moves)


# Tables and JSON ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SceneResult:
    """SceneResult of one scene."""

    scene: Scene
    frames: int
    score: Score
    milliseconds: dict[str, float]
    """Mean time per frame by part of the tracker."""
    median_ms: float
    """Median time per frame of all parts. Frames at a cut take longer."""
    cuts: tuple[int, int, int]
    """Correct cuts, false cuts, and true cuts."""


TOTAL = "all"
_TITLES = tuple(f"{low:g}-{high:g}" if isfinite(high) else f"{low:g}+" for low, high in CLASSES)

LEGEND = f"""\
Faces: due faces, summed over frames. Recall by face width ({", ".join(_TITLES)} px) and in total;
precision in total; skipped: due and tracked, but not usable; hidden: false faces that match a
covered face. Sw, fr: ID switches and fragmentations. Landmarks: mean and 95th percentile of the
error in % of the face width; off: faces with a mean error over {100 * MAX_ERROR:g} %; own: mean
distance from each face's own mean place in %. Jitter: motion of landmarks relative to the truth in
pixels per frame, root mean square and maximum. Cuts: correct/true (+ false). Median: elapsed time
per frame in ms."""


def as_text(results: Sequence[SceneResult]) -> str:
    """Return tables of quality, time and face widths."""
    rows = [[r.scene.name, str(r.frames), *_cells(figures([r.score])), *_more(r)] for r in results]
    frames = str(sum(r.frames for r in results))
    rows.append([TOTAL, frames, *_cells(figures([r.score for r in results])), "", ""])
    head = ["scene", "frames", "faces", *_TITLES, "recall", "precision", "false", "hidden"]
    head += ["skipped", "IDF1", "sw", "fr", "landm.", "95 %", "off", "own", "jitter", "max"]
    head += ["cuts", "median"]
    return "\n\n".join([markdown_table(head, rows), LEGEND, _times(results), _sizes(results)])


def _cells(f: TrackingFigures) -> list[str]:
    shares = [*f.recalls, f.recall, f.precision]
    counts = [f.false, f.hidden, f.skipped]
    return [
        str(f.due),
        *(_number(v, 3) for v in shares),
        *(str(n) for n in counts),
        _number(f.idf1, 3),
        str(f.switches),
        str(f.fragments),
        _number(100 * f.error, 1),
        _number(100 * f.error_95, 1),
        str(f.misplaced),
        _number(100 * f.deviation, 1),
        _number(f.jitter, 3),
        _number(f.jitter_max, 2),
    ]


def _more(result: SceneResult) -> list[str]:
    right, wrong, there = result.cuts
    cuts = f"{right}/{there}{f' +{wrong}' if wrong else ''}" if there or wrong else ""
    return [cuts, f"{result.median_ms:.1f}"]


def _number(value: float, places: int) -> str:
    return f"{value:.{places}f}" if isfinite(value) else ""


def _times(results: Sequence[SceneResult]) -> str:
    """Return a table of the mean time per frame by part of the tracker."""
    parts = list(dict.fromkeys(part for r in results for part in r.milliseconds))
    head = ["ms per frame", *parts, "sum"]
    rows = [
        [
            result.scene.name,
            *(f"{result.milliseconds.get(part, 0):.2f}" for part in parts),
            f"{sum(result.milliseconds.values()):.2f}",
        ]
        for result in results
    ]
    return markdown_table(head, rows)


def _sizes(results: Sequence[SceneResult]) -> str:
    """Return a table of recall and precision by face width, over all scenes."""
    total = figures([result.score for result in results])
    rows = [
        [title, _number(recall, 3), _number(precision, 3)]
        for title, recall, precision in zip(_TITLES, total.recalls, total.precisions, strict=True)
    ]
    return markdown_table(["width in px", "recall", "precision"], rows)


def as_dicts(results: Sequence[SceneResult]) -> list[dict[str, Any]]:
    """Return an entry for each scene with the results of each face, and one for all scenes."""
    rows: list[dict[str, Any]] = [
        {
            "scene": r.scene.name,
            "frames": r.frames,
            **figures([r.score]).as_dict(),
            "cuts_found": r.cuts[0],
            "cuts_wrong": r.cuts[1],
            "cuts": r.cuts[2],
            "median_ms": round(r.median_ms, 3),
            "ms": {part: round(ms, 3) for part, ms in r.milliseconds.items()},
            "by_face": by_face(r.score),
            "failures": failures(r.score.failures),
        }
        for r in results
    ]
    total = figures([r.score for r in results]).as_dict()
    return [*rows, {"scene": TOTAL, "frames": sum(r.frames for r in results), **total}]


def by_face(score: Score) -> list[dict[str, Any]]:
    """Return the results of every true face that was due in any frame."""
    rows = []
    for face_id, due in sorted(score.due_frames.items()):
        own = [pair for pair in score.pairs if pair.truth.id == face_id]
        error = np.array([np.linalg.norm(p.error, axis=1).mean() / p.truth.width for p in own])
        rows.append(
            {
                "id": face_id,
                "due": due,
                "found": len(own),
                "tracks": list(dict.fromkeys(pair.track for pair in own)),
                "width": round(float(np.mean([p.truth.width for p in own])), 1) if own else None,
                "error": round(float(error.mean()), 4) if own else None,
            }
        )
    return rows


def failures(found: Sequence[Failure]) -> list[dict[str, Any]]:
    """Return the failures. Those of one kind and face in successive frames are joined into one."""
    runs: list[dict[str, Any]] = []
    latest: dict[tuple[str, int], dict[str, Any]] = {}
    for one in found:
        run = latest.get((one.kind, one.id))
        if run and run["to"] == one.frame - 1:
            run["to"] = one.frame
            continue
        run = {"what": one.kind, "id": one.id, "from": one.frame, "to": one.frame}
        run |= {"x": round(one.x), "y": round(one.y), "width": round(one.width, 1)}
        latest[one.kind, one.id] = run
        runs.append(run)
    return runs
