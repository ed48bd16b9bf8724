"""Enhance one video file from its beginning to its end, or in segments that can be resumed."""

import shutil
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crsr_video import pipeline
from crsr_video.config import Config, OutputSettings, ReadSettings
from crsr_video.errors import OutputError
from crsr_video.files import replacing
from crsr_video.io import pyav
from crsr_video.io.containers import BY_SUFFIX
from crsr_video.io.output_plan import OutputPlan
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.jobs.file_run import FileRun, Summary
from crsr_video.runner import Progress, Runner
from crsr_video.track.replay import Replay
from crsr_video.types import Frame, RunStatistics

if TYPE_CHECKING:
    from crsr_video.jobs.reports import RunReports


def enhance_video(run: FileRun) -> Summary:
    """Enhance a video from its beginning to its end. See `crsr_video.jobs.file.enhance`."""
    begin = time.perf_counter()
    source, config, notices, job = run.source, run.config, run.notices, run.config.job
    with ExitStack() as stack:
        reader = stack.enter_context(
            Reader(source, start=job.start, duration=job.duration, settings=config.reading)
        )
        # The encoder is opened before the networks, so that an impossible output fails at once.
        writer = stack.enter_context(
            Writer(
                run.output,
                reader.source,
                config.output,
                scale=config.scale,
                overwrite=job.overwrite,
            )
        )
        reports = _reports(run, writer.plan.path)
        if not _may_be_copied(source, writer.plan, config):  # Nothing is lost in a copy.
            notices.add(*writer.notices)
        replay = pipeline.replay_for(config, reader.path, reader.info, shift=reader.source.shift)
        chooses_people = bool(config.faces.people) or config.faces.only is not None
        if replay is None and chooses_people and reader.path.is_file():
            replay = _replay_of_people(reader, run)
        frames = stack.enter_context(
            pipeline.build(config, tracker=replay, networks=run.networks, in_background=True)
        )
        frames.observer = None if reports is None else reports.observer.push
        started = time.perf_counter()
        finished = 0

        def count(_: Frame) -> None:
            nonlocal finished
            finished += 1
            seconds = time.perf_counter() - started
            run.on_progress(Progress(finished, reader.info.frames, seconds, frames.faces_in_view))

        runner = Runner(reader, frames, writer, on_frame=count)
        runner.run()
        writer.check_losses(reader.report.losses)
        writer.close()
    report = reader.report
    stage_seconds = {
        "decode": runner.read_seconds,
        **frames.statistics.stage_seconds,
        "encode": runner.write_seconds,
    }
    is_damaged = report.truncated or report.concealed > 0 or report.damaged > 0
    is_copy = not is_damaged and _replace_by_source(source, writer.plan, config, frames.statistics)
    notices.add(*(() if is_copy else (*writer.notices, *report.notes)), *frames.notices)
    summary = Summary(
        source=Path(source),
        output=writer.plan.path,
        video=reader.info,
        plan=writer.plan,
        statistics=replace(frames.statistics, stage_seconds=stage_seconds),
        seconds=time.perf_counter() - begin,
        startup_seconds=max(started, frames.loaded_at) - begin,
        truncated=report.truncated,
        concealed=report.concealed,
        damaged=report.damaged,
        notices=notices.lines,
        is_copy=is_copy,
    )
    if reports is None:
        return summary
    assert frames.placement is not None
    return reports.write(summary, reports.observer.observations(frames.lowered), frames.placement)


def enhance_in_segments(run: FileRun) -> Summary:
    """Enhance a video in segments, as `JobSettings.resume` requests."""
    # Other runs need neither of these, and load torch later.
    from crsr_video.jobs import segments
    from crsr_video.runtime.loading import resolve_placement

    begin = time.perf_counter()
    source, output, config = Path(run.source), run.output, run.config
    reports = _reports(run, Path(output or source))
    done = segments.enhance_resumably(
        source,
        output,
        config,
        on_progress=run.on_progress,
        on_notice=run.notices.add,
        executor=run.executor,
    )
    joined = done.joined
    is_damaged = joined.report.truncated or done.concealed > 0 or done.damaged > 0
    is_copy = not is_damaged and _replace_by_source(source, joined.plan, config, done.statistics)
    summary = Summary(
        source=source,
        output=joined.plan.path,
        video=joined.video,
        plan=joined.plan,
        statistics=done.statistics,
        seconds=time.perf_counter() - begin,
        startup_seconds=done.startup_seconds,
        truncated=joined.report.truncated,
        concealed=done.concealed,
        damaged=done.damaged,
        resumed=done.resumed,
        notices=done.notices,
        is_copy=is_copy,
    )
    if reports is None:
        return summary
    return reports.write(summary, done.observed, resolve_placement(done.config))


def _reports(run: FileRun, output: Path) -> "RunReports | None":
    if not run.config.job.report:
        return None
    from crsr_video.jobs.reports import RunReports  # Only reports need these modules.

    return RunReports(run.config, Path(run.source), output, run.command)


def _replay_of_people(reader: Reader, run: FileRun) -> Replay:
    """Find the people of the whole file first, so that their numbers match the sheet's."""
    from crsr_video.inspection.analysis import find_people

    min_face = run.config.faces.min_face
    run.notices.add("finding the people of the whole file first; a tracks file saves this time")
    recording = find_people(reader.path, min_face=min_face, on_progress=run.on_progress)
    ticks = int(reader.source.shift / reader.info.time_base)
    return Replay(recording, reader.path, shift=ticks, min_face=min_face)


def _may_be_copied(source: str | Path, plan: OutputPlan, config: Config) -> bool:
    """Return whether the result is a copy of the source if no frame is changed.

    This is the case if the result has the container and the length of its source, and if the
    settings for reading, the background and the encoder are the defaults.
    """
    path, suffix = Path(source), plan.path.suffix.lower()
    is_alike = BY_SUFFIX.get(path.suffix.lower()) == BY_SUFFIX.get(suffix, "")
    is_whole = config.job.start == 0 and config.job.duration is None and config.scale == 1
    has_defaults = config.output == OutputSettings(strict=config.output.strict)
    has_defaults &= config.reading == ReadSettings() and config.background == "keep"
    return is_alike and is_whole and has_defaults and not plan.is_pipe and path.is_file()


def _replace_by_source(
    source: str | Path, plan: OutputPlan, config: Config, statistics: RunStatistics
) -> bool:
    """Replace a finished result by a copy of its source, and return whether that was possible.

    It is possible if no frame was changed, and `_may_be_copied` allows it.
    """
    is_changed = statistics.enhanced > 0 and config.faces.strength > 0
    if is_changed or not _may_be_copied(source, plan, config):
        return False
    try:
        with replacing(plan.path) as temporary:
            shutil.copyfile(source, temporary)
    except OSError as error:
        raise OutputError(f"{plan.path}: cannot be written: {pyav.reason(error)}") from error
    return True
