"""``crsr-video enhance`` with several inputs: options, execution and progress of the queue."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crsr_video.cli import process
from crsr_video.cli.commands import Common, option, section
from crsr_video.cli.options import as_rare
from crsr_video.cli.reporting import (
    EXIT_FAILED,
    EXIT_PARTIAL,
    PROGRESS_SECONDS,
    Reporter,
    printable,
    progress_bar,
)
from crsr_video.cli.summaries import (
    damage_text,
    progress_facts,
    summary_facts,
    summary_text,
    why_nothing_changed,
)
from crsr_video.cli.values import Number, WholeNumber, is_folder
from crsr_video.config import Config
from crsr_video.formatting import format_count

if TYPE_CHECKING:
    from crsr_video.jobs.queue import Advanced, Event, Finished, Found, Job, Overviews


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How several videos are found and distributed over processes or machines."""

    recursive: bool
    patterns: tuple[str, ...]
    jobs: int | None
    ray: str | None
    ray_cpus: float
    ray_gpus: float


queue_options = section(
    "Several inputs",
    option(
        "--recursive",
        is_flag=True,
        help="Enhance all videos and pictures in INPUT folders and below them.",
    ),
    option(
        "--pattern",
        "patterns",
        metavar="GLOB",
        multiple=True,
        help="With --recursive: only matching names, such as '*.mp4'; may be repeated.",
    ),
    option(
        "--jobs",
        metavar="N",
        type=WholeNumber(1),
        help="Enhance N files at a time in separate processes; with --ray, use N workers."
        "  [default: 1; with --ray, as many as fit]",
    ),
    *as_rare(
        option(
            "--ray",
            metavar="ADDRESS|local",
            help="Share the work over a Ray cluster, including the parts of long videos.",
        ),
        option(
            "--ray-cpus",
            metavar="N",
            type=Number(above=0),
            default=1.0,
            help="Reserve N CPUs of the cluster for each worker.",
        ),
        option(
            "--ray-gpus",
            metavar="N",
            type=Number(0),
            default=0.0,
            help="Reserve N GPUs for each worker; 0.25 puts four workers on one.",
        ),
    ),
)
"""Decorator that adds the options of `QueueSettings` to a command."""


def is_queue(sources: Sequence[Path], settings: QueueSettings) -> bool:
    """Return whether the options ask for several inputs, or for a Ray cluster."""
    asked = settings.recursive or settings.patterns or settings.ray is not None
    return bool(asked) or len(sources) > 1


@contextmanager
def output_in(folder: Path, source: Path, config: Config) -> Iterator[Path]:
    """Create a folder, and yield the path of the result in it.

    A folder that was created here is removed if nothing is written into it.

    Raises:
        CrsrError: If the folder cannot be created, or the source cannot be read.
    """
    from crsr_video.jobs.queue import Job, make_folders, make_job, removing_empty_folders

    job = Job(source, make_job(source, Path(), folder, config).output)
    with removing_empty_folders([job]):
        make_folders(job)
        yield job.output


def enhance_all(
    sources: Sequence[Path],
    place: str | None,
    config: Config,
    settings: QueueSettings,
    *,
    common: Common,
    as_json: bool,
) -> int:
    """Enhance several videos.

    Args:
        sources: Files and folders.
        place: Folder of all results, or the path of a single result.
        config: Settings of every video.
        settings: Settings of the queue.
        common: Options of every command.
        as_json: Print JSON events.

    Returns:
        The exit code.

    Raises:
        CrsrError: If no video can be started.
    """
    with QueueReporter(common, as_json=as_json) as reporter:
        # Imported here because torch takes seconds, and wrong options should fail at once.
        from crsr_video.jobs.queue import Overviews
        from crsr_video.track import litert

        found = _find(sources, place, config, settings)
        overviews = Overviews(config, found.jobs)
        overviews.refuse(found.refused)
        reporter.begin(found)
        try:
            if found.jobs:
                litert.prepare_process()
                _run(found.jobs, config, settings, reporter, overviews)
        finally:
            overviews.write()
        return reporter.end(overviews.paths)


def _find(
    sources: Sequence[Path], place: str | None, config: Config, settings: QueueSettings
) -> "Found":
    from crsr_video.jobs.queue import Found, Job, find, make_job

    folder = None if place is None else Path(place)
    if len(sources) > 1 or settings.recursive or is_folder(str(sources[0])):
        return find(
            sources, folder, config, recursive=settings.recursive, patterns=settings.patterns
        )
    if folder is not None and not is_folder(str(place)):
        output = folder
    else:
        output = make_job(sources[0], Path(), folder, config).output
    return Found([Job(sources[0], output, report=config.job.report)])


def _run(
    jobs: Sequence["Job"],
    config: Config,
    settings: QueueSettings,
    reporter: "QueueReporter",
    overviews: "Overviews",
) -> None:
    command = ("crsr-video", *sys.argv[1:])

    def handle(event: "Event") -> None:
        overviews.handle(event)
        reporter.handle(event)

    if settings.ray is None:
        from crsr_video.jobs import queue

        if len(jobs) == 1:
            process.limit_library_threads(config.networks.device)
        queue.run(jobs, config, handle, processes=settings.jobs or 1, command=command)
        return
    from crsr_video.jobs import cluster

    cluster.run(
        jobs,
        config,
        handle,
        address=settings.ray,
        resources=cluster.WorkerResources(settings.ray_cpus, settings.ray_gpus),
        workers=settings.jobs,
        on_notice=reporter.notice,
        command=command,
    )


class QueueReporter(Reporter):
    """Reports many jobs: one progress bar, a line for each video, and the failures at the end."""

    def __init__(self, common: Common, *, as_json: bool) -> None:
        super().__init__(common, as_json=as_json)
        self._total = self._done = self._skipped = self._damaged = 0
        self._enhanced = self._unchanged = 0
        self._failures: list[str] = []
        self._running: dict[Path, str] = {}
        self._event_times: dict[Path, float] = {}
        self._has_begun = False

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Close the progress bar, and print a summary if the queue was interrupted."""
        if error is not None and self._has_begun:
            self._sum_up(stopped=True)
        super().__exit__(kind, error, trace)

    def begin(self, found: "Found") -> None:
        """Report the jobs, and the inputs that were refused."""
        self._has_begun = True
        self._total = len(found.jobs) + len(found.refused)
        self.event("queue", total=self._total)
        for text in found.notices:
            self.notice(text)
        for refused in found.refused:
            self._fail(refused.path, refused.message, refused.kind)
        if self._shows_bar:
            self._bar = progress_bar(self._total, "enhancing", " files")
            self._bar.update(self._done)

    def handle(self, event: "Event") -> None:
        """Report an event of a job."""
        from crsr_video.jobs import queue

        source, output = event.job.source, event.job.output
        match event:
            case queue.Started():
                self.event("start", source=str(source), output=str(output))
                self._running[source] = ""
            case queue.Advanced():
                self._advance(event)
            case queue.Noticed():
                self.event("notice", source=str(source), message=event.text)
                self.say(f"note: {source}: {event.text}")
            case queue.Skipped():
                self._skipped += 1
                self.event("skipped", source=str(source), output=str(output))
                self._finish_job(source, f"skipped, {output} exists")
            case queue.Failed():
                self._fail(source, event.message, event.kind)
            case queue.Finished():
                self._succeed(event)

    def end(self, overviews: Sequence[Path] = ()) -> int:
        """Print a summary, and return the exit code."""
        self.close_bar()
        self._sum_up(stopped=False)
        for path in overviews:
            self.say(f"wrote {path}")
        if self._failures:
            return EXIT_FAILED
        return EXIT_PARTIAL if self._damaged else 0

    def _advance(self, event: "Advanced") -> None:
        process.finish_loading()
        source, state = event.job.source, event.progress
        part = f"{state.frames / state.total:.0%}" if state.total else f"{state.frames} frames"
        self._running[source] = f"{printable(source.name)} {part} {state.fps:.0f} fps"
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(filter(None, self._running.values())))
        now = time.monotonic()
        if now - self._event_times.get(source, -PROGRESS_SECONDS) >= PROGRESS_SECONDS:
            self._event_times[source] = now
            self.event("progress", source=str(source), **progress_facts(state))

    def _succeed(self, event: "Finished") -> None:
        summary, source = event.summary, event.job.source
        why = why_nothing_changed(summary, is_named=False)
        self._enhanced += why is None
        self._unchanged += why is not None
        facts = summary_facts(summary)
        if self._total > 1:  # Another process did the work.
            facts["peak_memory_mib"] = None
        self.event("summary", source=str(source), **facts)
        self._finish_job(source, why or summary_text(summary))
        if summary.partial:
            self._damaged += 1
            self.warn(f"{source} is {damage_text(summary)}: the readable frames were enhanced")

    def _fail(self, source: Path, message: str, kind: str) -> None:
        self._failures.append(message)
        self.event("error", source=str(source), message=message, kind=kind)
        self._count(source)
        if not self._json:
            self._clear_bar()
            several = self._prints_text and self._total > 1
            place = f"[{self._done}/{self._total}] " if several else ""
            click.echo(f"crsr-video: {place}error: {printable(message)}", err=True)

    def _finish_job(self, source: Path, text: str) -> None:
        self._count(source)
        self.say(f"[{self._done}/{self._total}] {source}: {text}")

    def _count(self, source: Path) -> None:
        self._done += 1
        self._running.pop(source, None)
        self._event_times.pop(source, None)
        if self._bar is not None:
            self._bar.update(1)

    def _sum_up(self, *, stopped: bool) -> None:
        self.event(
            "queue-summary",
            total=self._total,
            enhanced=self._enhanced,
            unchanged=self._unchanged,
            skipped=self._skipped,
            damaged=self._damaged,
            failed=len(self._failures),
            stopped=stopped,
        )
        unfinished = f", {self._total - self._done} not done" if stopped else ""
        damaged = f" ({self._damaged} damaged)" if self._damaged else ""
        unchanged = f"{self._unchanged} unchanged, " if self._unchanged else ""
        self.say(
            f"{format_count(self._total, 'file')}: {self._enhanced} enhanced{damaged}, "
            f"{unchanged}{self._skipped} skipped, {len(self._failures)} failed{unfinished}"
        )
        if self._total > 1:  # Earlier messages may have scrolled out of view.
            for message in self._failures:
                self.say(f"failed: {message}")
