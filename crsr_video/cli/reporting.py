"""Output of a run: progress, notices and a summary for people, or JSON events for programs."""

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from crsr_video.cli import process, settings_files, summaries
from crsr_video.cli.commands import Common
from crsr_video.errors import CrsrError

if TYPE_CHECKING:
    from crsr_video.jobs.file import Summary
    from crsr_video.runner import Progress

EXIT_FAILED = 1
EXIT_PARTIAL = 3

PROGRESS_SECONDS = 0.5
"""Shortest time between two progress events."""

_OPTION_NAMES = {
    "container": "--format",
    "format": "--input-format",
    "options": "-x",
    "purpose": "--for",
    "people": "--face",
    "patterns": "--pattern",
}
"""Options whose names differ from those of the settings in Python."""


class Reporter:
    """Reports one run, for people on standard error or for programs as JSON events.

    Use it as a context manager. On exit, it closes the progress bar, and reports a failure as an
    event.

    Args:
        common: Options of every command, which say how much is printed.
        as_json: Print JSON events instead of text.
        events_to_stderr: Print the events to standard error, because a video goes to standard
            output.
    """

    def __init__(self, common: Common, *, as_json: bool, events_to_stderr: bool = False) -> None:
        self._json = as_json
        self._events_to_stderr = events_to_stderr
        self._prints_text = not common.quiet and not as_json
        self._prints_details = self._prints_text and common.verbosity > 0
        self._shows_bar = self._prints_text and sys.stderr.isatty()
        self._bar: Any = None
        self._bar_label = "enhancing"
        self._last_event = 0.0

    def __enter__(self) -> Self:
        """Report each settings file that options come from, and return the reporter."""
        context = click.get_current_context(silent=True)
        for origin in settings_files.origins_of(context) if context is not None else ():
            self.notice(f"options from {origin}")
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
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

    def skip(self, source: Path, output: Path) -> None:
        """Report that the result already exists and is complete."""
        self.event("skipped", source=str(source), output=str(output))
        self.say(f"already done: {output} is complete (-y makes it again)")

    def progress(self, state: "Progress") -> None:
        """Report a finished frame."""
        process.finish_loading()
        if self._shows_bar:
            if self._bar is None:
                self._bar = progress_bar(state.total, self._bar_label, " frames")
                self._bar.initial = self._bar.n = state.resumed  # Not counted in the speed.
            self._bar.set_postfix_str(f"faces={state.faces}", refresh=False)
            self._bar.update(state.frames - self._bar.n)
        now = time.monotonic()
        if self._json and now - self._last_event >= PROGRESS_SECONDS:
            self._last_event = now
            self.event("progress", **summaries.progress_facts(state))

    def finish(self, summary: "Summary") -> None:
        """Report the end of a run."""
        self.close_bar()
        why, hints = summaries.why_nothing_changed(summary), summaries.advice(summary)
        warnings = [why] if why is not None else []
        if summary.partial:
            name, damage = summaries.name_of(summary), summaries.damage_text(summary)
            warnings.append(f"{name} is {damage}: the readable frames were enhanced")
        if why is None:
            self.say(summaries.summary_text(summary))
        for line in warnings:
            self.warn(line)
        for line in hints:
            self.notice(line)
        self.say_more(*summaries.detail_lines(summary))
        self.event("summary", **summaries.summary_facts(summary))  # This is the last event.

    def event(self, event: str, **facts: Any) -> None:
        """Print a JSON event, if the user asked for events."""
        if self._json:
            if "message" in facts:
                facts["message"] = with_option_names(facts["message"])
            click.echo(json.dumps({"event": event, **facts}), err=self._events_to_stderr)

    def say(self, line: str) -> None:
        """Print a line for people, unless --quiet or --json was given."""
        if self._prints_text:
            self._clear_bar()
            click.echo(f"crsr-video: {printable(line)}", err=True)

    def say_more(self, *lines: str) -> None:
        """Print lines for people who gave --verbose."""
        if self._prints_details:
            for line in lines:
                self.say(line)

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


def progress_bar(total: int, label: str, unit: str) -> Any:
    """Return a progress bar on standard error."""
    from tqdm import tqdm

    return tqdm(
        total=total or None,
        desc=label,
        unit=unit,
        file=sys.stderr,
        dynamic_ncols=True,
        leave=False,
    )


def printable(text: str) -> str:
    """Return a message on one line, with option names and with escaped unprintable characters.

    File names may contain line breaks and terminal control sequences.
    """
    named = with_option_names(text)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in named)


def with_option_names(message: str) -> str:
    """Replace names of settings in Python, which stand between backticks, with option names."""
    return re.sub(
        "`([a-z_]+)`",
        lambda name: _OPTION_NAMES.get(name[1], "--" + name[1].replace("_", "-")),
        message,
    )
