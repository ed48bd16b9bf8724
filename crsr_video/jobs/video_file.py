"""Enhance one video file from its beginning to its end, or in segments that can be resumed.

Encoding begins at the first changed frame, so that an unchanged video is never encoded.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crsr_video import pipeline
from crsr_video.config import Config, OutputSettings, ReadSettings
from crsr_video.errors import InputError
from crsr_video.io.containers import BY_SUFFIX
from crsr_video.io.output_file import OutputFile
from crsr_video.io.output_plan import OutputPlan, plan_output, refuse_losses
from crsr_video.io.reader import Reader, ReadReport
from crsr_video.io.writer import Writer
from crsr_video.jobs.file import FileRun, Summary
from crsr_video.runner import Progress, Runner
from crsr_video.track.replay import Replay
from crsr_video.types import Frame, RunStatistics, VideoInfo

MANY_FRAMES = 1000
"""Number of frames from which writing them again takes so long that the user is told."""


class DeferredWriter:
    """Discards frames and packets until a frame was changed, and then reads and writes them again.

    Reading a part of the source twice costs a small part of the time of encoding it, and no memory.

    Args:
        writer: Writes the result.
        source: The file that all frames and packets come from, from its beginning.
        settings: If they are strict, and the plan of the writer loses something, an error is raised
            in place of the first frame that is written.
        on_frame: Called after each frame that is written again, with their number so far.
        on_notice: Called with a notice if many frames are written again.
    """

    def __init__(
        self,
        writer: Writer,
        source: Path,
        settings: OutputSettings | None = None,
        on_frame: Callable[[int], None] = lambda _: None,
        on_notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._writer, self._source = writer, source
        self._settings = settings or OutputSettings()
        self._on_frame, self._on_notice = on_frame, on_notice
        self._frames = self._packets = 0
        self.is_unchanged = True
        """Whether no frame was changed so far, so that nothing was written."""

    def push(self, frame: Frame) -> None:
        """Write a frame, or discard it if no frame was changed so far."""
        if self.is_unchanged and not frame.edited:
            self._frames += 1
            return
        self.write_discarded()
        self._writer.push(frame)

    def push_packet(self, item: Any) -> None:
        """Write a packet of another stream, or discard it if no frame was changed so far."""
        if self.is_unchanged:
            self._packets += 1
        else:
            self._writer.push_packet(item)

    def write_discarded(self) -> None:
        """Write everything that was discarded so far, and no longer discard anything.

        Raises:
            InputError: The source has less content than before.
            OutputError: Something is lost although the settings are strict.
        """
        if not self.is_unchanged:
            return
        refuse_losses(self._writer.plan, self._settings)
        self.is_unchanged = False
        frames, packets = self._frames, self._packets
        if not (frames or packets):
            return
        if frames >= MANY_FRAMES:
            self._on_notice(f"writing the {frames} frames before the first change")
        with Reader(self._source, threads=1) as reader:  # One thread holds few frames in memory.
            for item in reader:
                if isinstance(item, Frame):
                    if frames:
                        self._writer.push(item)
                        frames -= 1
                        self._on_frame(self._frames - frames)
                elif packets:
                    self._writer.push_packet(item)
                    packets -= 1
                if not (frames or packets):
                    return
            raise InputError(f"{self._source}: was changed while it was read")


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
        lenient = replace(config.output, strict=False)
        plan = plan_output(reader.source, run.output, lenient, scale=config.scale)
        may_be_copied = _may_be_copied(source, plan, config)
        if not may_be_copied:
            refuse_losses(plan, config.output)
        # The encoder is opened before the networks, so that an impossible output fails at once.
        writer = stack.enter_context(
            Writer(run.output, reader.source, config.output, plan=plan, overwrite=job.overwrite)
        )
        reports = _reports(run, plan.path)
        if not may_be_copied:  # Nothing is lost in a copy.
            notices.add(*writer.notices)
        elif config.output.strict and plan.notices:
            lost = "; ".join(plan.notices)
            notices.add(f"`strict` refuses the result as soon as a frame is changed: {lost}")
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

        def report_progress(done: int) -> None:
            seconds = time.perf_counter() - started
            run.on_progress(Progress(done, reader.info.frames, seconds, frames.faces_in_view))

        def count(_: Frame) -> None:
            nonlocal finished
            finished += 1
            report_progress(finished)

        deferred = DeferredWriter(writer, Path(source), config.output, report_progress, notices.add)
        runner = Runner(reader, frames, deferred if may_be_copied else writer, on_frame=count)
        runner.run()
        report = reader.report
        is_copy = may_be_copied and deferred.is_unchanged and not report.is_damaged
        if is_copy:
            writer.publish_copy()
        else:
            deferred.write_discarded()
            writer.check_losses(report.losses)
            writer.close()
    stage_seconds = {
        "decode": runner.read_seconds,
        **frames.statistics.stage_seconds,
        "encode": runner.write_seconds,
    }
    notices.add(*(() if is_copy else (*writer.notices, *report.notes)), *frames.notices)
    summary = _summarise(
        run,
        plan,
        reader.info,
        report,
        replace(frames.statistics, stage_seconds=stage_seconds),
        begin=begin,
        startup_seconds=max(started, frames.loaded_at) - begin,
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
    plan = done.joined.plan
    report = replace(done.joined.report, concealed=done.concealed, damaged=done.damaged)
    is_changed = done.statistics.enhanced > 0 and config.faces.strength > 0
    is_copy = _may_be_copied(source, plan, config) and not (is_changed or report.is_damaged)
    if is_copy:
        file = OutputFile(plan.path, source, overwrite=True)
        try:
            file.publish_copy(source)
        finally:
            file.release()
    summary = _summarise(
        run,
        plan,
        done.joined.video,
        report,
        done.statistics,
        begin=begin,
        startup_seconds=done.startup_seconds,
        resumed=done.resumed,
        is_copy=is_copy,
    )
    if reports is None:
        return summary
    return reports.write(summary, done.observed, resolve_placement(done.config))


def _summarise(
    run: FileRun,
    plan: OutputPlan,
    video: VideoInfo,
    report: ReadReport,
    statistics: RunStatistics,
    *,
    begin: float,
    startup_seconds: float,
    resumed: int = 0,
    is_copy: bool,
) -> Summary:
    return Summary(
        source=Path(run.source),
        output=plan.path,
        video=video,
        plan=plan,
        statistics=statistics,
        seconds=time.perf_counter() - begin,
        startup_seconds=startup_seconds,
        truncated=report.truncated,
        concealed=report.concealed,
        damaged=report.damaged,
        resumed=resumed,
        notices=run.notices.lines,
        is_copy=is_copy,
    )


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
