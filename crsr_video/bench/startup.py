"""From the start of a process to its first enhanced frame."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class _Enough(BaseException):
    """The first frame is there."""


def total(clip: Path, spawned: float) -> float:
    """Seconds until `enhance` has finished its first frame.

    Args: spawned: `time.time` when this process was started.
    """
    from crsr_video.api import enhance
    from crsr_video.config import Config
    from crsr_video.runner import Progress

    at = 0.0

    def stop(_: Progress) -> None:
        nonlocal at
        at = time.time() - spawned
        raise _Enough

    with suppress(_Enough):
        enhance(
            clip,
            clip.with_suffix(".out.mp4"),
            config=Config.from_options(overwrite=True),
            on_progress=stop,
        )
    return at


def parts(clip: Path, spawned: float) -> dict[str, float]:
    """Seconds that each thing takes, one after another."""
    marks = {"interpreter": time.time() - spawned}

    def mark(what: str, act: Callable[[], object]) -> None:
        begin = time.perf_counter()
        act()
        marks[what] = time.perf_counter() - begin

    mark("imports", _import)
    from crsr_video.config import Config
    from crsr_video.pipeline import load_networks
    from crsr_video.track.tracker import Tracker

    mark("networks", lambda: load_networks(Config()))
    mark("detectors", lambda: Tracker().close())
    before = time.time()
    marks["first frame"] = total(clip, before) - marks["networks"] - marks["detectors"]
    return marks


def _import() -> None:
    pass
