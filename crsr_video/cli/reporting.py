"""Output of a run: progress, notices and a summary for people, or JSON events for programs."""

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from crsr_video.cli import process
from crsr_video.errors import CrsrError

if TYPE_CHECKING:
    from crsr_video.jobs.summary import Summary
    from crsr_video.runner import Progress

EXIT_FAILED = 1
EXIT_PARTIAL = 3

PROGRESS_SECONDS = 0.5
"""Shortest time between two progress events."""


class Reporter:
    """Reports one run, for people on standard error or for programs as JSON events.

    Used as a context manager: the progress bar is closed, and a failure becomes an event.

    Args:
        quiet: Print nothing but warnings and errors.
        as_json: Print JSON events instead of text.
        events_to_stderr: Print the events to standard error, because a video goes to standard
            output.
    """

    def __init__(self, *, quiet: bool, as_json: bool, events_to_stderr: bool = False) -> None:
        self._json = as_json
        self._events_to_stderr = events_to_stderr
        self._prints_text = not quiet and not as_json
        self._shows_bar = self._prints_text and sys.stderr.isatty()
        self._bar: Any = None
        self._bar_label = "enhancing"
        self._last_event = 0.0

    def __enter__(self) -> "Reporter":
        """Return the reporter."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the progress bar, and report a failure."""
        self.close_bar()
        if isinstance(error, CrsrError):
            self.event("error", message=str(error), kind=type(error).__name__)

    def start(self, source: Path) -> None:
        """Report that a run begins."""
        self.event("start", source=str(source))

    def notice(self, text: str) -> None:
        """Report something that the user should know."""
        self.event("notice", message=text)
        self.say(f"note: {text}")

    def fetching(self, done: int, total: int) -> None:
        """Report the download of face models, in bytes."""
        self.event("fetching", done=done, total=total)
        if self._shows_bar:
            self._bar = self._bar or progress_bar(total, "fetching face models", "B", scale=True)
            self._bar.update(done - self._bar.n)
            if done >= total:
                self.close_bar()

    def progress(self, state: "Progress") -> None:
        """Report a finished frame."""
        process.finish_loading()
        if self._shows_bar:
            if self._bar is None:
                self._bar = progress_bar(state.total, self._bar_label, " frames")
                self._bar.initial = self._bar.n = state.resumed  # Not part of this run's speed.
            self._bar.set_postfix_str(f"faces={state.faces}", refresh=False)
            self._bar.update(state.frames - self._bar.n)
        now = time.monotonic()
        if self._json and now - self._last_event >= PROGRESS_SECONDS:
            self._last_event = now
            self.event("progress", **progress_facts(state))

    def finish(self, summary: "Summary") -> None:
        """Report the end of a run."""
        self.close_bar()
        self.event("summary", **summary_facts(summary))
        for line in _summary_lines(summary):
            self.say(line)
        if summary.partial:
            source = "standard input" if str(summary.source) == "-" else summary.source
            self.warn(f"{source} is {damage_text(summary)}: the readable frames were enhanced")

    def event(self, event: str, **facts: Any) -> None:
        """Print a JSON event, if events were asked for."""
        if self._json:
            click.echo(json.dumps({"event": event, **facts}), err=self._events_to_stderr)

    def say(self, line: str) -> None:
        """Print a line for people, unless they asked for none."""
        if self._prints_text:
            self._clear_bar()
            click.echo(f"crsr-video: {printable(line)}", err=True)

    def warn(self, line: str) -> None:
        """Report a warning, which --quiet does not suppress."""
        self.event("warning", message=line)
        if not self._json:
            self._clear_bar()
            click.echo(f"crsr-video: warning: {printable(line)}", err=True)

    def close_bar(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _clear_bar(self) -> None:
        if self._bar is not None:
            self._bar.clear()


def progress_bar(total: int, label: str, unit: str, *, scale: bool = False) -> Any:
    """A progress bar on standard error."""
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


def progress_facts(state: "Progress") -> dict[str, Any]:
    """The fields of a progress event."""
    return {
        "frames": state.frames,
        "total": state.total,
        "fps": round(state.fps, 2),
        "faces": state.faces,
    }


def summary_facts(summary: "Summary") -> dict[str, Any]:
    """The fields of a summary event."""
    statistics = summary.statistics
    return {
        "output": str(summary.output),
        "frames": statistics.frames,
        "resumed": summary.resumed,
        "faces": statistics.faces,
        "enhanced": statistics.enhanced,
        "tracks": statistics.tracks,
        "cuts": statistics.cuts,
        "skipped": statistics.skipped,
        "passed_through": statistics.passed_through,
        "concealed": summary.concealed,
        "damaged": summary.damaged,
        "truncated": summary.truncated,
        **timing_facts(summary, statistics.stage_seconds),
        "encoder": summary.plan.encoder,
        "pixel_format": summary.plan.pixel_format,
        "notices": list(summary.notices),
        "reports": [str(path) for path in summary.reports],
    }


def timing_facts(run: Any, stage_seconds: dict[str, float]) -> dict[str, Any]:
    """The fields of a summary event about time and memory.

    Args:
        run: A summary or an analysis, with `seconds`, `startup_seconds` and `fps`.
        stage_seconds: CPU seconds of each stage.
    """
    return {
        "seconds": round(run.seconds, 3),
        "startup_seconds": round(run.startup_seconds, 3),
        "fps": round(run.fps, 2),
        "stage_seconds": {name: round(s, 3) for name, s in stage_seconds.items()},
        "peak_memory_mib": peak_memory_mib(),
    }


def peak_memory_mib() -> float | None:
    """Largest resident size of this process in MiB, or None if the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def printable(text: str) -> str:
    """Text on one line, with unprintable characters as Python escapes them.

    File names may contain line breaks and terminal control sequences.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def count(number: int, thing: str) -> str:
    """A number and a noun, such as "1 frame" or "2 people"."""
    plural = "people" if thing == "person" else f"{thing}s"
    return f"{number} {thing if number == 1 else plural}"


def damage_text(run: Any) -> str:
    """The damage of a source in words, such as "cut off, missing 3 frames".

    Args:
        run: A summary or an analysis, with `truncated`, `concealed` and `damaged`.
    """
    damage = ["cut off"] if run.truncated else []
    if run.concealed:
        damage.append(f"damaged in {count(run.concealed, 'frame')}")
    if run.damaged:
        damage.append(f"missing {count(run.damaged, 'frame')}")
    return ", ".join(damage)


def timing_line(run: Any, frames: int) -> str:
    """Speed and start-up time of a run in words."""
    return (
        f"Processed {count(frames, 'frame')} in {run.seconds:.1f} s: {run.fps:.1f} fps after "
        f"{run.startup_seconds:.1f} s to start"
    )


def stage_line(frames: int, stage_seconds: dict[str, float]) -> list[str]:
    """CPU time of each stage in words, or nothing if there was no frame."""
    if not frames:
        return []
    stages = [f"{name} {s / frames * 1e3:.1f}" for name, s in stage_seconds.items()]
    return [f"Time per frame in ms: {', '.join(stages)}"]


def people_text(enhanced: int, faces: int, people: int) -> str:
    """How many people were enhanced, and in how many of their appearances.

    Args:
        enhanced: Enhanced faces, summed over frames.
        faces: Faces found, summed over frames.
        people: Number of track IDs.
    """
    if not faces:
        return "No face was found: the picture is unchanged"
    if people == 1:  # One face per frame.
        return f"Enhanced 1 person in {enhanced} of {count(faces, 'frame')}"
    return f"Enhanced {count(people, 'person')} in {enhanced} of {faces} appearances"


def _summary_lines(summary: "Summary") -> list[str]:
    statistics = summary.statistics
    lines = [
        people_text(statistics.enhanced, statistics.faces, statistics.tracks),
        timing_line(summary, statistics.frames),
        *stage_line(statistics.frames, statistics.stage_seconds),
        *(f"Left unchanged: {n} x {why}" for why, n in sorted(statistics.skipped.items())),
    ]
    if statistics.passed_through:
        frames = count(statistics.passed_through, "frame")
        lines.append(f"Left {frames} unchanged after an error")
    return [*lines, *(f"Wrote {path}" for path in (summary.plan.name, *summary.reports))]
