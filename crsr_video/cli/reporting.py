"""What a run tells the user: a progress bar, notices and a summary; or JSON lines."""

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from crsr_video.cli import process
from crsr_video.cli.plain import plain
from crsr_video.errors import CrsrError

if TYPE_CHECKING:
    from crsr_video.api import Summary
    from crsr_video.progress import Progress

EVENT_SECONDS = 0.5
"""At most one progress event in this time: readers of JSON need no more."""


class Reporter:
    """Events of one run, for people on stderr or for programs on stdout.

    Args: events_to_stderr: standard output is taken, by a video.
    """

    def __init__(self, *, quiet: bool, as_json: bool, events_to_stderr: bool = False) -> None:
        self._json = as_json
        self._events_to_stderr = events_to_stderr
        self._words = not quiet and not as_json
        self._bar: Any = None
        self._show_bar = self._words and sys.stderr.isatty()
        self._last_event = 0.0

    def __enter__(self) -> "Reporter":
        """Use as a context: the bar is closed, and a failure becomes an event."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar."""
        self._close_bar()
        if isinstance(error, CrsrError):
            self._event("error", message=str(error), kind=type(error).__name__)

    def start(self, source: Path) -> None:
        """A run begins."""
        self._event("start", source=str(source))

    def notice(self, text: str) -> None:
        """Something the user should know."""
        self._event("notice", message=text)
        self._say(f"note: {text}")

    def fetching(self, done: int, total: int) -> None:
        """Face models are being fetched: bytes so far, bytes in all."""
        self._event("fetching", done=done, total=total)
        if self._show_bar:
            if self._bar is None:
                self._bar = bar(total, "fetching face models", "B", scale=True)
            self._bar.update(done - self._bar.n)
            if done >= total:
                self._close_bar()

    def progress(self, state: "Progress") -> None:
        """A frame is finished."""
        process.finish_loading()
        if self._show_bar:
            if self._bar is None:
                self._bar = bar(state.total, "enhancing", " frames")
                self._bar.initial = self._bar.n = state.resumed  # No part of this run's speed.
            self._bar.set_postfix_str(f"faces={state.faces}", refresh=False)
            self._bar.update(state.frames - self._bar.n)
        now = time.monotonic()
        if self._json and now - self._last_event >= EVENT_SECONDS:
            self._last_event = now
            self._event(
                "progress",
                frames=state.frames,
                total=state.total,
                fps=round(state.fps, 2),
                faces=state.faces,
            )

    def finish(self, summary: "Summary") -> None:
        """The run is done."""
        self._close_bar()
        self._event("summary", **facts_of(summary))
        for line in _lines(summary):
            self._say(line)
        if summary.partial:
            source = "standard input" if str(summary.source) == "-" else summary.source
            self._warn(f"{source} is {harm(summary)}: what was there is enhanced")

    def _say(self, line: str) -> None:
        if self._words:
            if self._bar is not None:
                self._bar.clear()
            click.echo(f"crsr-video: {plain(line)}", err=True)

    def _warn(self, line: str) -> None:
        self._event("warning", message=line)
        if not self._json:
            click.echo(f"crsr-video: warning: {plain(line)}", err=True)

    def _event(self, event: str, **facts: Any) -> None:
        if self._json:
            click.echo(json.dumps({"event": event, **facts}), err=self._events_to_stderr)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def bar(total: int, label: str, unit: str, *, scale: bool = False) -> Any:
    """A progress bar on stderr."""
    from tqdm import tqdm

    return tqdm(
        total=total or None,
        desc=label,
        unit=unit,
        unit_scale=scale,
        file=sys.stderr,
        dynamic_ncols=True,
        leave=False,
    )


def facts_of(summary: "Summary") -> dict[str, Any]:
    """What a summary tells, for programs."""
    seen = summary.statistics
    return {
        "output": str(summary.output),
        "frames": seen.frames,
        "resumed": summary.resumed,
        "faces": seen.faces,
        "enhanced": seen.enhanced,
        "tracks": seen.tracks,
        "cuts": seen.cuts,
        "skipped": seen.skipped,
        "passed_through": seen.passed_through,
        "concealed": summary.concealed,
        "damaged": summary.damaged,
        "truncated": summary.truncated,
        "seconds": round(summary.seconds, 3),
        "startup_seconds": round(summary.startup_seconds, 3),
        "fps": round(summary.fps, 2),
        "stage_seconds": {name: round(s, 3) for name, s in seen.stage_seconds.items()},
        "peak_memory_mib": peak_memory(),
        "encoder": summary.plan.encoder,
        "pixel_format": summary.plan.pixel_format,
        "notices": list(summary.notices),
        "reports": [str(path) for path in summary.reports],
    }


def peak_memory() -> float | None:
    """Largest resident size of this process so far in MiB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def count(number: int, thing: str) -> str:
    """A number of things, in words."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def harm(summary: "Summary") -> str:
    """What is wrong with a source, in words."""
    harms = ["cut off"] if summary.truncated else []
    if summary.concealed:
        harms.append(f"damaged in {count(summary.concealed, 'frame')}")
    if summary.damaged:
        harms.append(f"missing {count(summary.damaged, 'frame')}")
    return ", ".join(harms)


def _lines(summary: "Summary") -> list[str]:
    seen = summary.statistics
    lines = [
        f"{count(seen.frames, 'frame')}, {count(seen.tracks, 'face')} "
        f"followed ({seen.enhanced} of {seen.faces} pictures of them enhanced), "
        f"{summary.seconds:.1f} s ({summary.startup_seconds:.1f} of them to start), "
        f"{summary.fps:.1f} fps"
    ]
    if seen.frames:
        stages = [f"{n} {s / seen.frames * 1e3:.1f}" for n, s in seen.stage_seconds.items()]
        lines.append(f"milliseconds a frame: {', '.join(stages)}")
    lines += [f"left alone: {n} x {why}" for why, n in sorted(seen.skipped.items())]
    if not seen.faces:
        lines.append("no face was found: the picture is unchanged")
    if seen.passed_through:
        lines.append(
            f"{count(seen.passed_through, 'frame')} passed through unchanged after an error"
        )
    written = [summary.plan.name, *summary.reports]
    return [*lines, *(f"wrote {path}" for path in written)]
