"""What the command does: the cast and the backgrounds are read, and every scene is run."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crsr_video.evaluation.report import write
from crsr_video.evaluation.tracking import backdrops, table
from crsr_video.evaluation.tracking.overlay import OverlayVideo
from crsr_video.evaluation.tracking.people import people
from crsr_video.evaluation.tracking.run import Result, run
from crsr_video.evaluation.tracking.scenes import Scene


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The command's options."""

    faces: Path | None = None
    """See `people.people`."""
    backgrounds: Path | None = None
    """See `backdrops.found`."""
    lookahead: int = 8
    min_face: float = 16.0
    frames: int | None = None
    """Of each scene, at most."""
    seed: int = 0
    video: Path | None = None
    """Folder for overlays."""


@dataclass(frozen=True)
class Report:
    """What came of it."""

    text: str
    data: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the figures as JSON. Raises TrainingError: that is impossible."""
        write(path, json.dumps(self.data, indent=1, allow_nan=False) + "\n")


def measure(
    chosen: Sequence[Scene], settings: Settings, tell: Callable[[str], None] = lambda _: None
) -> Report:
    """Run scenes.

    Args:   tell: called with the name of each before it is run.
    Raises: CrsrError: something cannot be read or written.
    """
    cast = people(settings.faces)
    behind = backdrops.found(settings.backgrounds, settings.seed)
    results: list[Result] = []
    for scene in chosen:
        tell(scene.name)
        with ExitStack() as stack:
            watch = None
            if settings.video:
                watch = stack.enter_context(OverlayVideo(settings.video / f"{scene.name}.mp4"))
            results.append(
                run(
                    scene,
                    cast,
                    behind,
                    lookahead=settings.lookahead,
                    min_face=settings.min_face,
                    frames=settings.frames,
                    seed=settings.seed,
                    watch=watch,
                )
            )
    used = {
        "faces": str(settings.faces) if settings.faces else None,
        "people": len(cast),
        "backgrounds": str(settings.backgrounds) if settings.backgrounds else None,
        "lookahead": settings.lookahead,
        "min_face": settings.min_face,
        "seed": settings.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    return Report(table.as_text(results), {**used, "scenes": table.as_dicts(results)})
