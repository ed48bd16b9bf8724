"""The tables: Markdown to be read as it is, and the same for JSON."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from crsr_video.evaluation.tracking.figures import OFF, Figures, figures
from crsr_video.evaluation.tracking.matching import CLASSES
from crsr_video.evaluation.tracking.measures import Failure, Score
from crsr_video.evaluation.tracking.run import Result

TOTAL = "all"
_TITLES = tuple(f"{low:g}-{high:g}" if isfinite(high) else f"{low:g}+" for low, high in CLASSES)

KEY = f"""\
Faces: due, summed over frames. Recall by face width ({", ".join(_TITLES)} px) and in all; precision
in all; skipped: due, tracked, but marked as not to be used; hidden: false ones on a covered face.
Sw, fr: id switches, fragmentations. Landmarks: mean and 95 % of the distance from the truth, in %
of the face width; off: faces whose mean distance is over {100 * OFF:g} %; own: mean distance from
each face's own mean place, likewise in %. Jitter: what landmarks move against the truth from frame
to frame, root mean square and most, px. Cuts: found/there (+ wrong ones). Median: ms a frame, wall
clock."""


def as_text(results: Sequence[Result]) -> str:
    """The table by scene and in all, and one of times."""
    rows = [[r.scene.name, str(r.frames), *_cells(figures([r.score])), *_more(r)] for r in results]
    frames = str(sum(r.frames for r in results))
    rows.append([TOTAL, frames, *_cells(figures([r.score for r in results])), "", ""])
    head = ["scene", "frames", "faces", *_TITLES, "recall", "precision", "false", "hidden"]
    head += ["skipped", "IDF1", "sw", "fr", "landm.", "95 %", "off", "own", "jitter", "most"]
    head += ["cuts", "median"]
    return "\n\n".join([_grid([head, *rows]), KEY, _times(results), _sizes(results)])


def _cells(f: Figures) -> list[str]:
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
        _number(100 * f.wander, 1),
        _number(f.jitter, 3),
        _number(f.jitter_most, 2),
    ]


def _more(result: Result) -> list[str]:
    right, wrong, there = result.cuts
    cuts = f"{right}/{there}{f' +{wrong}' if wrong else ''}" if there or wrong else ""
    return [cuts, f"{result.median_ms:.1f}"]


def _number(value: float, places: int) -> str:
    return f"{value:.{places}f}" if isfinite(value) else ""


def _times(results: Sequence[Result]) -> str:
    """Mean milliseconds a frame by part of the tracker."""
    parts = list(dict.fromkeys(part for r in results for part in r.milliseconds))
    head = ["ms a frame", *parts, "sum"]
    rows = [
        [
            result.scene.name,
            *(f"{result.milliseconds.get(part, 0):.2f}" for part in parts),
            f"{sum(result.milliseconds.values()):.2f}",
        ]
        for result in results
    ]
    return _grid([head, *rows])


def _sizes(results: Sequence[Result]) -> str:
    """Recall and precision by face width, over all scenes."""
    total = figures([result.score for result in results])
    rows = [
        [title, _number(recall, 3), _number(precision, 3)]
        for title, recall, precision in zip(_TITLES, total.recalls, total.precisions, strict=True)
    ]
    return _grid([["width, px", "recall", "precision"], *rows])


def _grid(rows: Sequence[Sequence[str]]) -> str:
    """Markdown, padded; the first column to the left, numbers to the right."""
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    lines = [
        [c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    ]
    rule = ["-" * (w - 1) + ":" if i else "-" * w for i, w in enumerate(widths)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [lines[0], rule, *lines[1:]])


def as_dicts(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One entry a scene, with what became of each of its faces, and one for all of them."""
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
    """What became of every true face that was due at any time."""
    rows = []
    for who, wanted in sorted(score.wanted.items()):
        own = [pair for pair in score.pairs if pair.truth.id == who]
        error = np.array([np.linalg.norm(p.error, axis=1).mean() / p.truth.width for p in own])
        rows.append(
            {
                "id": who,
                "due": wanted,
                "found": len(own),
                "tracks": list(dict.fromkeys(pair.track for pair in own)),
                "width": round(float(np.mean([p.truth.width for p in own])), 1) if own else None,
                "error": round(float(error.mean()), 4) if own else None,
            }
        )
    return rows


def failures(found: Sequence[Failure]) -> list[dict[str, Any]]:
    """Failures of one kind and face that follow each other as one: from which frame to which."""
    runs: list[dict[str, Any]] = []
    latest: dict[tuple[str, int], dict[str, Any]] = {}
    for one in found:
        run = latest.get((one.what, one.id))
        if run and run["to"] == one.frame - 1:
            run["to"] = one.frame
            continue
        run = {"what": one.what, "id": one.id, "from": one.frame, "to": one.frame}
        run |= {"x": round(one.x), "y": round(one.y), "width": round(one.width, 1)}
        latest[one.what, one.id] = run
        runs.append(run)
    return runs
