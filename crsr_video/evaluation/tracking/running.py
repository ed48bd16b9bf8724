"""Run the tracker on drawn scenes, score the results, and write overlay videos of them."""

import json
import os
import platform
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import OutputError
from crsr_video.evaluation.report import write
from crsr_video.evaluation.tracking.drawing import (
    FRAME_RATE,
    Backdrops,
    DrawnFrame,
    Truth,
    find_backdrops,
    render,
)
from crsr_video.evaluation.tracking.results import SceneResult, as_dicts, as_text
from crsr_video.evaluation.tracking.scenes import DrawnHead, Scene, people
from crsr_video.evaluation.tracking.scoring import Score, Scorer, is_covered, is_due, is_usable
from crsr_video.files import replacing, writing
from crsr_video.io.pictures import as_rgb
from crsr_video.track.tracker import Tracker
from crsr_video.types import Bytes, Face, TrackedFrame


@dataclass(frozen=True, kw_only=True)
class SceneSettings:
    """Options of the evaluation."""

    faces: Path | None = None
    """Source of the people in the scenes; see `scenes.people`."""
    backgrounds: Path | None = None
    """Source of backgrounds; see `drawing.find_backdrops`."""
    lookahead: int = 8
    min_face: float = 16.0
    frames: int | None = None
    """Maximum number of frames of each scene. Defaults to all of them."""
    seed: int = 0
    video: Path | None = None


@dataclass(frozen=True)
class TrackingReport:
    """Results of the evaluation."""

    text: str
    data: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the results as JSON."""
        write(path, json.dumps(self.data, indent=1, allow_nan=False) + "\n")


def measure(
    chosen: Sequence[Scene],
    settings: SceneSettings,
    on_scene: Callable[[str], None] = lambda _: None,
) -> TrackingReport:
    """Run the tracker on scenes, and return the results."""
    cast = people(settings.faces)
    backdrops = find_backdrops(settings.backgrounds, settings.seed)
    results: list[SceneResult] = []
    for scene in chosen:
        on_scene(scene.name)
        with ExitStack() as stack:
            on_frame = None
            if settings.video:
                path = settings.video / f"{scene.name}.mp4"
                on_frame = stack.enter_context(overlay_video(path, scene.size))
            results.append(run(scene, cast, backdrops, settings, on_frame=on_frame))
    used = {
        "faces": str(settings.faces) if settings.faces else None,
        "people": len(cast),
        "backgrounds": str(settings.backgrounds) if settings.backgrounds else None,
        "lookahead": settings.lookahead,
        "min_face": settings.min_face,
        "seed": settings.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    return TrackingReport(as_text(results), {**used, "scenes": as_dicts(results)})


OnFrame = Callable[[DrawnFrame, TrackedFrame, Score], None]
"""A function that is called with each frame after the frame was scored."""


def run(
    scene: Scene,
    cast: Sequence[DrawnHead],
    backdrops: Backdrops,
    settings: SceneSettings,
    *,
    on_frame: OnFrame | None = None,
) -> SceneResult:
    """Draw a scene, track it and score the result, in memory that does not grow with its length.

    Raises:
        FaceModelError: If a model is missing or cannot be run.
    """
    scorer, waiting = Scorer(), deque[DrawnFrame]()
    found: list[bool] = []
    begins: list[bool] = []
    times: list[float] = []
    with Tracker(lookahead=settings.lookahead, min_face=settings.min_face) as tracker:

        def take(items: list[TrackedFrame]) -> None:
            for item in items:
                drawn = waiting.popleft()
                scorer.add_frame(drawn.index, drawn.faces, item.faces)
                found.append(item.cut)
                begins.append(drawn.begins_shot)
                if on_frame:
                    on_frame(drawn, item, scorer.score)

        seed, frames = settings.seed, settings.frames
        for drawn in render(scene, cast, backdrops, seed=seed, frames=frames):
            waiting.append(drawn)
            start = perf_counter()
            items = tracker.push(drawn.frame)
            times.append((perf_counter() - start) * 1000)
            take(items)
        take(tracker.flush())
        stats = tracker.statistics
    return SceneResult(
        scene,
        len(times),
        scorer.score,
        {part: 1000 * s / max(1, stats.frames) for part, s in stats.seconds.items()},
        float(np.median(times)) if times else 0.0,
        _cuts(found[1:], begins[1:]),  # The first frame always begins a shot.
    )


def _cuts(found: Sequence[bool], true: Sequence[bool]) -> tuple[int, int, int]:
    correct = sum(a and b for a, b in zip(found, true, strict=True))
    return correct, sum(found) - correct, sum(true)


# Overlay videos ----------------------------------------------------------------------------------


_GREEN, _DARK_GREEN, _BLUE = (0, 220, 0), (0, 120, 0), (60, 120, 255)
_RED, _BROWN = (255, 40, 40), (200, 150, 60)


@contextmanager
def overlay_video(path: Path, size: tuple[int, int]) -> Iterator[OnFrame]:
    """Yield a function that writes frames into a video, with true and tracked faces drawn in.

    True faces are green if they are due, blue if they are covered, and dark green otherwise.
    Tracked faces are red with their track ID, or brown if they are not usable.

    Raises:
        OutputError: If the file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        writer = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*"mp4v"), FRAME_RATE, size)
        if not writer.isOpened():
            raise OutputError(f"{path}: cannot be written")

        def write_frame(drawn: DrawnFrame, item: TrackedFrame, score: Score) -> None:
            picture = draw_overlay(drawn, item, score)
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

        try:
            yield write_frame
        finally:
            writer.release()


def draw_overlay(drawn: DrawnFrame, item: TrackedFrame, score: Score) -> Bytes:
    """Return a frame with boxes and landmarks drawn into it, as uint8 (H, W, 3) in RGB."""
    picture = np.ascontiguousarray(as_rgb(drawn.frame)).copy()
    for truth in drawn.faces:
        _draw(picture, truth.box, truth.points, _colour(truth), f"{truth.id}", below=True)
    for face in item.faces:
        usable = is_usable(face)
        _draw(picture, face.box, face.landmarks, _RED if usable else _BROWN, _label(face))
    failures = [f for f in score.failures if f.frame == drawn.index]
    text = " ".join(
        [f"{drawn.index}", "cut" if item.cut else "", *(f"{f.kind}:{f.id}" for f in failures[:9])]
    )
    _write(picture, text, (8, 24), (255, 255, 0))
    return picture


def _colour(truth: Truth) -> tuple[int, int, int]:
    if is_covered(truth):
        return _BLUE
    return _GREEN if is_due(truth) else _DARK_GREEN


def _label(face: Face) -> str:
    return f"{face.track} {face.confidence:.2f}" + (
        f" p{face.presence:.1f}" if face.presence < 1 else ""
    )


def _draw(
    picture: Bytes,
    box: tuple[float, float, float, float],
    points: NDArray[np.float64],
    colour: tuple[int, int, int],
    text: str,
    *,
    below: bool = False,
) -> None:
    left, top, right, bottom = (round(value) for value in box)
    cv2.rectangle(picture, (left, top), (right, bottom), colour, 1, cv2.LINE_AA)
    for point in np.rint(points).astype(int):
        cv2.circle(picture, point, max(1, (right - left) // 64), colour, -1, cv2.LINE_AA)
    _write(picture, text, (left, bottom + 14 if below else top - 4), colour)


def _write(picture: Bytes, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    for thick, ink in ((3, (0, 0, 0)), (1, colour)):
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, thick, cv2.LINE_AA)
