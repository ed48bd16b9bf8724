"""A run that can be killed at any moment, and later continues where it stopped.

Beside the result there is a folder ``.NAME.resume`` with a journal and a file for each finished
segment. A segment is finished once the journal lists it, which happens after its file is on the
disk. When the result is complete, it gets its final name and the folder is removed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

from crsr_video import report
from crsr_video.config import Config
from crsr_video.errors import ConfigError, OutputError
from crsr_video.formatting import format_count
from crsr_video.io import pyav
from crsr_video.io.output_file import NameLock, check_output
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.jobs.segments.joining import Joined, join
from crsr_video.jobs.segments.planning import Plan, Segment
from crsr_video.jobs.segments.results import SegmentResult, add_statistics, match_tracks
from crsr_video.jobs.segments.work_folder import WorkFolder, work_folder_of
from crsr_video.jobs.segments.worker import SegmentWorker
from crsr_video.private_folder import PrivateFolder
from crsr_video.runner import Notices, Progress
from crsr_video.types import RunStatistics

OnProgress = Callable[[Progress], None]

SegmentExecutor = Callable[
    [Plan, Sequence[Segment], Path, Callable[[SegmentResult], None]], Iterable[str]
]
"""A function that enhances segments of a plan into a folder, in any order. It passes each result to
the callback in the calling thread, and returns notices for the user."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a resumable run."""

    joined: Joined
    statistics: RunStatistics
    startup_seconds: float
    """Time before the first frame was finished, or before an executor began."""
    resumed: int
    """Number of frames that earlier runs finished."""
    concealed: int
    """Number of frames in which the decoder concealed damage."""
    damaged: int
    """Number of video packets that could not be decoded."""
    notices: tuple[str, ...]
    config: Config
    """Settings with the device and the precision that were chosen when the work began."""
    observed: report.Observations = field(default_factory=report.Observations)
    """Observations for a report, if one was requested."""


def enhance_resumably(
    source: str | Path,
    output: str | Path | None,
    config: Config,
    *,
    on_progress: OnProgress = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
    length: int | None = None,
    executor: SegmentExecutor | None = None,
) -> Outcome:
    """Enhance a video in segments, or resume an earlier run.

    Args:
        source: A video file.
        output: Path of the result. Defaults to ``NAME.enhanced.EXT`` beside the source.
        config: Settings of the run. `JobSettings.restart` discards earlier work.
        on_progress: Called after every finished frame.
        on_notice: Called with each notice for the user.
        length: Approximate number of frames in a segment; see `plan`.
        executor: Executor for the segments. Defaults to this process.

    Raises:
        CrsrError: The run failed. Finished segments are kept, and the same call resumes the run.
    """
    begin = time.perf_counter()
    chooses_people = bool(config.faces.people) or config.faces.only is not None
    if chooses_people and config.faces.tracks is None:
        raise ConfigError("every segment numbers its faces itself: choosing people needs `tracks`")
    path, notices = Path(source), Notices(on_notice)
    with Reader(path, start=config.job.start, duration=config.job.duration) as reader:
        result = plan_output(reader.source, output, config.output, scale=config.scale).path
    folder = work_folder_of(result)
    if not folder.is_dir():
        check_output(result, path, config.job.overwrite)
    with _os_errors_translated(result), NameLock(result), PrivateFolder(folder) as opened:
        work = WorkFolder(opened, notices.add)
        try:
            work.open(path, result, config, length)
            with _saying_that_work_is_kept():
                outcome = _Run(work, config, notices, on_progress, begin).finish(executor)
        except BaseException:
            if work.is_worthless:
                work.remove()
            raise
        work.remove()
        return outcome


@contextmanager
def _os_errors_translated(output: Path) -> Iterator[None]:
    """Turn errors of the work folder and of the lock into OutputError."""
    try:
        yield
    except OSError as error:
        name = error.filename or output
        raise OutputError(f"{name}: cannot be written: {pyav.reason(error)}") from error


@contextmanager
def _saying_that_work_is_kept() -> Iterator[None]:
    """Extend the messages of write errors by the advice that finished work is kept."""
    advice = "finished work is kept, and the same command resumes it"
    try:
        yield
    except OutputError as error:
        raise OutputError(f"{error}; {advice}") from error
    except OSError as error:
        raise OutputError(f"cannot write: {pyav.reason(error)}; {advice}") from error


class _Run:
    """One resumable run, from an opened work folder to the joined result."""

    def __init__(
        self,
        work: WorkFolder,
        config: Config,
        notices: Notices,
        on_progress: OnProgress,
        begin: float,
    ) -> None:
        self._work, self._config, self._notices = work, config, notices
        self._on_progress, self._begin = on_progress, begin
        self._resumed = sum(result.frames for result in work.results.values())
        self._finished = 0
        self._started: float | None = None

    def finish(self, executor: SegmentExecutor | None) -> Outcome:
        """Enhance the missing segments, join all segments, and return the outcome."""
        work, config, notices = self._work, self._config, self._notices
        if work.results:
            done = format_count(self._resumed, "frame")
            notices.add(f"an earlier run finished {done}: this run continues there")
        if not work.plan.can_seek:
            notices.add(
                "some timestamps are missing, so each segment is read from the start of the file"
            )
        if work.is_joined:
            joined = _describe_joined(work.plan)
        else:
            check_output(work.plan.output, work.plan.source, config.job.overwrite)
            self._enhance(executor)
            work.begin_joining()
            joined = join(
                work.plan,
                self._results(),
                work.path,
                overwrite=config.job.overwrite,
                exclusive=False,
            )
            work.end_joining()
        return self._outcome(joined)

    def _results(self) -> list[SegmentResult]:
        return [self._work.results[number] for number in sorted(self._work.results)]

    def _enhance(self, executor: SegmentExecutor | None) -> None:
        """Enhance the missing segments, and record each one as soon as it is on the disk."""
        work = self._work
        missing = [s for s in work.plan.segments if s.number not in work.results]
        if missing and executor is not None:
            self._started = time.perf_counter()
            for line in executor(work.plan, missing, work.path, self._add):
                self._notices.add(line)
        elif missing:
            with SegmentWorker(work.plan) as worker:
                for segment in missing:
                    work.add(worker.enhance(segment, work.path, partial(self._count, 1)))
                for line in worker.notices:
                    self._notices.add(line)

    def _add(self, result: SegmentResult) -> None:
        self._work.add(result)
        self._count(result.frames, len(result.tracks))

    def _count(self, frames: int, faces: int) -> None:
        now = time.perf_counter()
        self._started = now if self._started is None else self._started
        self._finished += frames
        done, total = self._resumed + self._finished, self._work.plan.frames
        self._on_progress(Progress(done, total, now - self._started, faces, self._resumed))

    def _outcome(self, joined: Joined) -> Outcome:
        results, plan = self._results(), self._work.plan
        if plan.config.faces.tracks is None:
            tables = match_tracks(results)
        else:  # The tracks file numbers people for the whole video.
            tables = [{number: number for number in result.tracks} for result in results]
        people = {number for table in tables for number in table.values()}
        observed = report.Observations()
        if self._config.job.report:
            observed = self._merge_observations(results, tables, joined.video.time_base)
        notes = [note for result in results for note in result.notes]
        for note in (*notes, *joined.notices, *joined.report.notes):
            self._notices.add(note)
        end = time.perf_counter()
        return Outcome(
            joined,
            add_statistics((result.statistics for result in results), len(people)),
            (self._started or end) - self._begin,
            self._resumed,
            sum(result.concealed for result in results),
            sum(result.damaged for result in results),
            self._notices.lines,
            plan.config,
            observed,
        )

    def _merge_observations(
        self, results: Sequence[SegmentResult], tables: Sequence[dict[int, int]], tick: Fraction
    ) -> report.Observations:
        if any(result.observed is None and result.name for result in results):
            self._notices.add(
                "the report has no details on the frames that an earlier run finished without one"
            )
        shift = -float((self._work.plan.begin or 0) * tick)
        return report.merge(
            report.renumber(result.observed, table, shift)
            for result, table in zip(results, tables, strict=True)
            if result.observed is not None
        )


def _describe_joined(plan: Plan) -> Joined:
    """Rebuild the return value of `join` if an earlier run was stopped after joining."""
    config = plan.config
    with Reader(plan.source, start=config.job.start, duration=config.job.duration) as reader:
        result = plan_output(reader.source, plan.output, config.output, scale=config.scale)
        return Joined(result, reader.info, reader.report, result.notices)
