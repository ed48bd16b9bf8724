"""One scene through one tracker."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from crsr_video.evaluation.tracking.backdrops import Backdrops
from crsr_video.evaluation.tracking.measures import Judge, Score
from crsr_video.evaluation.tracking.people import Person
from crsr_video.evaluation.tracking.render import Shown, render
from crsr_video.evaluation.tracking.scenes import Scene
from crsr_video.track.tracker import Tracker, TrackerStatistics
from crsr_video.types import TrackedFrame

Watch = Callable[[Shown, TrackedFrame, Score], None]
"""Called with each frame when it has been judged."""


@dataclass(frozen=True)
class Result:
    """What came of one scene."""

    scene: Scene
    frames: int
    score: Score
    milliseconds: dict[str, float]
    """A frame, on average, by part of the tracker."""
    median_ms: float
    """Of the time for one frame, all parts; frames at a cut take longer."""
    cuts: tuple[int, int, int]
    """Cuts found that are there, cuts found that are not, and cuts that are there."""


def run(
    scene: Scene,
    cast: Sequence[Person],
    backdrops: Backdrops,
    *,
    lookahead: int = 8,
    min_face: float = 16.0,
    frames: int | None = None,
    seed: int = 0,
    models: Path | None = None,
    watch: Watch | None = None,
) -> Result:
    """Draw a scene, track it and judge the result; frames are held only as long as they must be.

    Args:   frames: leave off those after so many.
            lookahead, min_face, models: the tracker's.
    Raises: FaceModelError: a model is missing or cannot be run.
    """
    judge, waiting = Judge(), deque[Shown]()
    found: list[bool] = []
    begins: list[bool] = []
    times: list[float] = []
    with Tracker(lookahead=lookahead, min_face=min_face, models=models) as tracker:

        def take(items: list[TrackedFrame]) -> None:
            for item in items:
                shown = waiting.popleft()
                judge.frame(shown.index, shown.faces, item.faces)
                found.append(item.cut)
                begins.append(shown.begins)
                if watch:
                    watch(shown, item, judge.score)

        for shown in render(scene, cast, backdrops, seed=seed, frames=frames):
            waiting.append(shown)
            start = perf_counter()
            items = tracker.push(shown.frame)
            times.append((perf_counter() - start) * 1000)
            take(items)
        take(tracker.flush())
        stats = tracker.statistics
    return Result(
        scene,
        len(times),
        judge.score,
        parts(stats),
        float(np.median(times)) if times else 0.0,
        _cuts(found[1:], begins[1:]),  # the first frame begins a scene in any case
    )


def parts(stats: TrackerStatistics) -> dict[str, float]:
    """Return the milliseconds per frame of each part of the tracker."""
    return {part: 1000 * seconds / max(1, stats.frames) for part, seconds in stats.seconds.items()}


def _cuts(found: Sequence[bool], there: Sequence[bool]) -> tuple[int, int, int]:
    right = sum(a and b for a, b in zip(found, there, strict=True))
    return right, sum(found) - right, sum(there)
