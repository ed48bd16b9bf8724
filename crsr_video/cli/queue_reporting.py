"""What a queue of videos tells the user: one bar, a line for each, and what failed at the end."""

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import click

from crsr_video.cli.plain import plain
from crsr_video.cli.reporting import EVENT_SECONDS, Reporter, bar, count, facts_of, harm

if TYPE_CHECKING:
    from crsr_video.jobs.queue import Advanced, Event, Finished, Found

EXIT_FAILED = 1
EXIT_PARTIAL = 3


class QueueReporter(Reporter):
    """Events of many jobs, for people on stderr or for programs on stdout."""

    elsewhere = False
    """Other processes do the work."""

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        super().__init__(quiet=quiet, as_json=as_json)
        self._total = self._done = self._enhanced = self._skipped = self._damaged = 0
        self._failures: list[str] = []
        self._running: dict[Path, str] = {}
        self._last_events: dict[Path, float] = {}
        self._begun = False

    def __enter__(self) -> "QueueReporter":
        """Use as a context: the bar is closed, and what was done is told however it ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar; tell what was done so far, if something cuts it short."""
        if error is not None and self._begun:
            self._sum_up(stopped=True)
        super().__exit__(kind, error, trace)

    def begin(self, found: "Found") -> None:
        """The jobs are known."""
        self._begun = True
        self._total = len(found.jobs) + len(found.refused)
        self._event("queue", total=self._total)
        for text in found.notices:
            self.notice(text)
        for refused in found.refused:
            self._fail(refused.path, refused.message, refused.kind)
        if self._show_bar:
            self._bar = bar(self._total, "enhancing", " files")
            self._bar.update(self._done)

    def fetching(self, done: int, total: int) -> None:
        """Face models are being fetched: bytes so far, bytes in all."""
        self._event("fetching", done=done, total=total)

    def tell(self, event: "Event") -> None:
        """Something has happened to a job."""
        from crsr_video.jobs import queue as work_queue

        source = event.job.source
        match event:
            case work_queue.Started():
                self._event("start", source=str(source), output=str(event.job.output))
                self._running[source] = ""
            case work_queue.Advanced():
                self._advance(event)
            case work_queue.Told():
                self._event("notice", source=str(source), message=event.text)
                self._say(f"note: {source}: {event.text}")
            case work_queue.Skipped():
                self._skipped += 1
                output = event.job.output
                self._event("skipped", source=str(source), output=str(output))
                self._finish_one(source, f"skipped, {output} exists")
            case work_queue.Failed():
                self._fail(source, event.message, event.kind)
            case work_queue.Finished():
                self._finish_well(event)

    def end(self) -> int:
        """All jobs are through; returns the exit code."""
        self._close_bar()
        self._sum_up(stopped=False)
        if self._failures:
            return EXIT_FAILED
        return EXIT_PARTIAL if self._damaged else 0

    def _advance(self, event: "Advanced") -> None:
        source, state = event.job.source, event.progress
        part = f"{state.frames / state.total:.0%}" if state.total else f"{state.frames} frames"
        self._running[source] = f"{plain(source.name)} {part} {state.fps:.0f} fps"
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(filter(None, self._running.values())))
        if self._is_time(source):
            self._event(
                "progress",
                source=str(source),
                frames=state.frames,
                total=state.total,
                fps=round(state.fps, 2),
                faces=state.faces,
            )

    def _is_time(self, source: Path) -> bool:
        now = time.monotonic()
        due = now - self._last_events.get(source, -EVENT_SECONDS)
        if due < EVENT_SECONDS:
            return False
        self._last_events[source] = now
        return True

    def _finish_well(self, event: "Finished") -> None:
        summary, source = event.summary, event.job.source
        self._enhanced += 1
        facts = facts_of(summary)
        if self.elsewhere:
            facts["peak_memory_mib"] = None  # This process has not done the work.
        self._event("summary", source=str(source), **facts)
        seen = summary.statistics
        told = f"{count(seen.frames, 'frame')}, {count(seen.tracks, 'face')} followed"
        self._finish_one(source, f"{told}, {summary.fps:.1f} fps, wrote {summary.output}")
        if summary.partial:
            self._damaged += 1
            self._warn(f"{source} is {harm(summary)}: what was there is enhanced")

    def _fail(self, source: Path, message: str, kind: str) -> None:
        self._failures.append(message)
        self._event("error", source=str(source), message=message, kind=kind)
        self._count(source)
        if self._bar is not None:
            self._bar.clear()
        if not self._json:
            place = f"[{self._done}/{self._total}] " if self._words and self._total > 1 else ""
            click.echo(f"crsr-video: {place}error: {plain(message)}", err=True)

    def _finish_one(self, source: Path, told: str) -> None:
        self._count(source)
        self._say(f"[{self._done}/{self._total}] {source}: {told}")

    def _count(self, source: Path) -> None:
        """One more is through."""
        self._done += 1
        self._running.pop(source, None)
        self._last_events.pop(source, None)
        if self._bar is not None:
            self._bar.update(1)

    def _sum_up(self, *, stopped: bool) -> None:
        self._event(
            "queue-summary",
            total=self._total,
            enhanced=self._enhanced,
            skipped=self._skipped,
            damaged=self._damaged,
            failed=len(self._failures),
            stopped=stopped,
        )
        left = f", {self._total - self._done} not done" if stopped else ""
        damaged = f" ({self._damaged} damaged)" if self._damaged else ""
        self._say(
            f"{count(self._total, 'video')}: {self._enhanced} enhanced{damaged}, "
            f"{self._skipped} skipped, {len(self._failures)} failed{left}"
        )
        if self._total > 1:  # They were told as they came, but may have scrolled away since.
            for message in self._failures:
                self._say(f"failed: {message}")
