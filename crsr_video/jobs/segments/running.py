"""A run that can be killed at any moment and goes on where it was.

Beside the result lies a folder ``.NAME.resume``: a journal, and a file for each finished segment. A
segment counts as finished when its line is in the journal, which is written after its file is on
the disk. The result gets its name when it is whole, and then the folder goes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from crsr_video import report
from crsr_video.config import Config
from crsr_video.errors import ConfigError, OutputError
from crsr_video.io import pyav
from crsr_video.io.lock import NameLock
from crsr_video.io.output_file import check_output
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.jobs.segments.folder import WorkFolder, work_folder
from crsr_video.jobs.segments.joining import Joined, join
from crsr_video.jobs.segments.planning import Plan, Segment
from crsr_video.jobs.segments.results import SegmentResult, added
from crsr_video.jobs.segments.stitch import stitch
from crsr_video.jobs.segments.work import Worker
from crsr_video.pipeline import Statistics
from crsr_video.records import from_json
from crsr_video.runner import Notices

OnFrame = Callable[[int, int, int, int], None]
"""Called after each frame: frames finished by this run, by earlier ones, in all, faces in view."""

Workers = Callable[[Plan, Sequence[Segment], Path, Callable[[SegmentResult], None]], Iterable[str]]
"""Somebody who enhances segments of a plan into a folder, and calls back with each that is done, in
whatever order, from the calling thread; returns what the user should know."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a resumable run came to."""

    joined: Joined
    statistics: Statistics
    resumed: int
    """Frames that earlier runs had finished."""
    concealed: int
    """Frames that the decoder had to patch up."""
    damaged: int
    """Packets of the video that could not be decoded at all."""
    notices: tuple[str, ...]
    settled: Config
    """As it was enhanced: device and precision as they were found when the work was begun."""
    seen: report.Observations = field(default_factory=report.Observations)
    """For a report, if one was asked for."""


def enhance_resumably(
    source: str | Path,
    output: str | Path | None,
    config: Config,
    *,
    on_frame: OnFrame = lambda *_: None,
    on_notice: Callable[[str], None] = lambda _: None,
    length: int | None = None,
    workers: Workers | None = None,
) -> Outcome:
    """Enhance a video in segments, or go on with it; `config.job.restart` begins anew.

    Args:   length: frames a segment, about; None: as is usual.
            workers: who enhances the segments; None: this process, one after the other.
    Raises: CrsrError: what is finished is kept, and the same call goes on.
    """
    if (config.faces.people or config.faces.only is not None) and config.faces.tracks is None:
        raise ConfigError("every segment numbers its faces itself: choosing people needs `tracks`")
    path, notices = Path(source), Notices(on_notice)
    with Reader(path, start=config.job.start, duration=config.job.duration) as film:
        whole = plan_output(film.source, output, config.output, scale=config.scale)
    folder = work_folder(whole.path)
    if not folder.is_dir():
        check_output(whole.path, path, config.job.overwrite)
    with _translated(whole.path), NameLock(whole.path):
        folder.mkdir(exist_ok=True)
        work = WorkFolder(folder, notices.add)
        try:
            work.open(path, whole.path, config, length)
            with _kept():
                outcome = _finish(work, config, on_frame, notices, workers)
        except BaseException:
            if work.worthless:
                work.remove()
            raise
        work.remove()
        return outcome


@contextmanager
def _translated(output: Path) -> Iterator[None]:
    """Turn what the folder's files and the lock may raise into an error of ours."""
    try:
        yield
    except OSError as error:
        name = error.filename or output
        raise OutputError(f"{name}: cannot be written: {pyav.reason(error)}") from error


@contextmanager
def _kept() -> Iterator[None]:
    """Say, where something could not be written, that nothing is lost."""
    told = "what is finished is kept, and the same command goes on"
    try:
        yield
    except OutputError as error:
        raise OutputError(f"{error}; {told}") from error
    except OSError as error:
        raise OutputError(f"cannot write: {pyav.reason(error)}; {told}") from error


def _finish(
    work: WorkFolder, config: Config, on_frame: OnFrame, notices: Notices, workers: Workers | None
) -> Outcome:
    """Do what is left, and sum up."""
    resumed = sum(result.frames for result in work.results.values())
    if work.results:
        notices.add(f"going on after {resumed} frames that an earlier run has finished")
    if not work.plan.seek:
        notices.add("the file does not tell all its times: each segment is read from its start")
    if work.joined:
        joined = _as_joined(work.plan)
    else:
        check_output(work.plan.output, work.plan.source, config.job.overwrite)
        _enhance(work, resumed, on_frame, notices, workers)
        work.begin_joining()
        joined = join(
            work.plan, _in_order(work), work.path, overwrite=config.job.overwrite, exclusive=False
        )
        work.end_joining()
    results = _in_order(work)
    seen = (
        _seen(results, work.plan, joined.video.time_base, notices)
        if config.job.report
        else report.Observations()
    )
    return replace(_outcome(results, joined, work.plan.config, resumed, notices), seen=seen)


def _seen(
    results: list[SegmentResult], plan: Plan, tick: Fraction, notices: Notices
) -> report.Observations:
    """What was observed in all segments, people numbered as in the whole video."""
    if any(result.observed is None and result.name for result in results):
        notices.add(
            "the report tells nothing of faces in frames that an earlier run finished without one"
        )
    tables = stitch(results)
    if plan.config.faces.tracks is not None:  # Which numbers them for the whole video.
        tables = [{number: number for number in result.tracks} for result in results]
    shift = -float((plan.begin or 0) * tick)
    return report.merge(
        report.renumber(from_json(report.Observations, result.observed), table, shift)
        for result, table in zip(results, tables, strict=True)
        if result.observed is not None
    )


def _in_order(work: WorkFolder) -> list[SegmentResult]:
    return [work.results[number] for number in sorted(work.results)]


def _enhance(
    work: WorkFolder, resumed: int, on_frame: OnFrame, notices: Notices, workers: Workers | None
) -> None:
    """Do the segments that are not there yet, each noted as soon as it is on the disk."""
    left = [s for s in work.plan.segments if s.number not in work.results]
    finished = 0

    def count(faces: int) -> None:
        nonlocal finished
        finished += 1
        on_frame(finished, resumed, work.plan.frames, faces)

    def add(result: SegmentResult) -> None:
        nonlocal finished
        work.add(result)
        finished += result.frames
        on_frame(finished, resumed, work.plan.frames, len(result.tracks))

    if left and workers is not None:
        for line in workers(work.plan, left, work.path, add):
            notices.add(line)
    elif left:
        with Worker(work.plan) as worker:
            for segment in left:
                work.add(worker.enhance(segment, work.path, count))
            for line in worker.notices:
                notices.add(line)


def _as_joined(plan: Plan) -> Joined:
    """What `join` returned to the run that was stopped after it."""
    config = plan.config
    with Reader(plan.source, start=config.job.start, duration=config.job.duration) as film:
        whole = plan_output(film.source, plan.output, config.output, scale=config.scale)
        return Joined(whole, film.info, film.report, whole.notices)


def _outcome(
    results: list[SegmentResult], joined: Joined, config: Config, resumed: int, notices: Notices
) -> Outcome:
    people = {number for table in stitch(results) for number in table.values()}
    if config.faces.tracks is not None:  # Which numbers them for the whole video.
        people = {number for result in results for number in result.tracks}
    for result in results:
        for note in result.notes:
            notices.add(note)
    for note in (*joined.notices, *joined.report.notes):
        notices.add(note)
    return Outcome(
        joined,
        added((result.statistics for result in results), len(people)),
        resumed,
        sum(result.concealed for result in results),
        sum(result.damaged for result in results),
        notices.lines,
        config,
    )
