"""A live run, from settings to summary.

The source is opened first and then the output, so that errors in them are reported at once. The
networks and their libraries take seconds to load. Until they are loaded, the frames of a live
source pass unchanged.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from crsr_video.errors import InputError, OutputError
from crsr_video.io.live_reader import LiveReader
from crsr_video.io.live_writer import LiveWriter
from crsr_video.io.pyav import Passthrough
from crsr_video.io.source import Source
from crsr_video.live.quality_controller import QualityController
from crsr_video.live.runner import LiveRunner
from crsr_video.live.settings import Hooks, LiveSettings, LiveSummary
from crsr_video.live.statistics import LatencyMeter, LiveStatistics
from crsr_video.live.watchdog import Watchdog
from crsr_video.machine import resident_mib
from crsr_video.stages.quality import LiveQuality
from crsr_video.track.recognition import installed_recogniser
from crsr_video.types import Frame, TrackedFrame

if TYPE_CHECKING:
    from crsr_video.report import EnhancementObserver
    from crsr_video.report.facts import MediaFacts

_TICK_SECONDS = 0.25
"""Interval between two checks of the run's threads."""
_STATISTICS_SECONDS = 1.0
_RECENT_SECONDS = 2.0
_MAX_NOTICES = 200
"""Maximum number of distinct notices that are kept for the report."""


class _NoOutput:
    """An output that discards everything."""

    state = "discarding"
    dropped = 0
    notices: tuple[str, ...] = ()

    def push(self, frame: Frame) -> None:
        pass

    def push_packet(self, item: Passthrough) -> None:
        pass

    def change(self, source: Source) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


def run(
    settings: LiveSettings, hooks: Hooks | None = None, *, command: Sequence[str] = ()
) -> LiveSummary:
    """Enhance a live stream until it ends, its receiver leaves, or an exception is raised.

    Args:
        settings: Source, output and limits.
        hooks: Functions to call during the run.
        command: Command line to show in a report.

    Raises:
        CrsrError: The source or the output cannot be used, or has failed permanently.
    """
    return _LiveRun(settings, hooks or Hooks(), tuple(command)).run()


class _LiveRun:
    """One run. Call `run` only once."""

    def __init__(self, settings: LiveSettings, hooks: Hooks, command: tuple[str, ...]) -> None:
        self._settings, self._hooks, self._command = settings, hooks, command
        self._notices: dict[str, None] = {}
        self._events: list[str] = []
        self._quality = LiveQuality()
        self._begin = time.monotonic()
        self._last_statistics = self._begin

    def run(self) -> LiveSummary:
        settings = self._settings
        with ExitStack() as stack:
            self._reader = stack.enter_context(
                LiveReader(settings.source, settings.config.reading, on_event=self._add_event)
            )
            self._source = self._reader.source
            self._check_output()
            self._check_reports()
            self._writer = self._open_output()
            stack.callback(self._writer.abort)
            for notice in self._writer.notices:
                self._add_event(notice)
            return self._enhance(stack)

    def _open_output(self) -> LiveWriter | _NoOutput:
        settings = self._settings
        if settings.output is None:
            return _NoOutput()
        return LiveWriter(
            settings.output,
            self._source,
            settings.config.output,
            overwrite=settings.config.job.overwrite,
            on_event=self._add_event,
        )

    def _enhance(self, stack: ExitStack) -> LiveSummary:
        settings, is_live = self._settings, self._reader.is_live
        self._watchdog = Watchdog(self._add_event)
        self._controller = QualityController(
            self._quality,
            settings.max_latency,
            on_step=lambda level, why: self._add_event(f"quality: {level.name} ({why})"),
        )
        self._runner = stack.enter_context(
            LiveRunner(
                self._reader,
                self._writer,
                self._quality,
                max_latency_seconds=settings.max_latency,
                controller=self._controller if is_live else None,
                watchdog=self._watchdog,
                drops_frames=is_live,
                strength=self._hooks.strength or (lambda: settings.config.faces.strength),
            )
        )
        self._started = time.monotonic()
        if is_live:
            self._runner.start()
            self._add_event("frames pass unenhanced while the networks are loaded")
            self._pass_on_events()
        self._hooks.loading()
        from crsr_video import pipeline, report

        self._pipeline = stack.enter_context(
            pipeline.build(settings.config, live=True, quality=self._quality)
        )
        self._pipeline.warm_up()
        observer = (
            report.EnhancementObserver(installed_recogniser())
            if settings.config.job.report
            else None
        )
        self._observe(observer)
        for notice in self._pipeline.notices:
            self._add_event(notice)
        if is_live:
            self._runner.use(self._pipeline)
            seconds = time.monotonic() - self._started
            self._add_event(f"faces are enhanced from {seconds:.1f} s on")
        else:
            self._runner.start(self._pipeline)
            self._started = time.monotonic()
        try:
            self._supervise()
        except Exception:
            self._end()
            raise
        except BaseException:
            # An endless run usually ends by an interruption, and has a summary like any other run.
            self._end()
            self._hooks.finished(self._summarise(observer))
            raise
        self._end()
        summary = self._summarise(observer)
        self._hooks.finished(summary)
        return summary

    def _supervise(self) -> None:
        seconds = self._settings.seconds
        end = None if seconds is None else self._started + seconds
        while not self._runner.wait(_TICK_SECONDS):
            now = time.monotonic()
            self._pass_on_events()
            self._watchdog.look(self._runner.states)
            if now - self._last_statistics >= _STATISTICS_SECONDS:
                self._last_statistics = now
                self._hooks.statistics(self._recent_statistics())
            if end is not None and now >= end:
                self._runner.stop()
                end = None

    def _end(self) -> None:
        """Write the frames that are in flight, and join all threads."""
        self._runner.close()
        self._pass_on_events()

    # Events -------------------------------------------------------------------------------------

    def _add_event(self, line: str) -> None:
        """Queue a line from any thread until the thread that called `run` passes it on."""
        self._events.append(line)

    def _pass_on_events(self) -> None:
        while self._events:
            line = self._events.pop(0)
            if len(self._notices) < _MAX_NOTICES:
                self._notices[line] = None
            self._hooks.notice(line)

    def _observe(self, observer: "EnhancementObserver | None") -> None:
        show = self._hooks.frame
        if observer is None or show is None:
            self._pipeline.observer = observer.push if observer is not None else show
            return

        def observe(item: TrackedFrame, done: Frame) -> None:
            observer.push(item, done)
            show(item, done)

        self._pipeline.observer = observe

    # Statistics ---------------------------------------------------------------------------------

    def _recent_statistics(self) -> LiveStatistics:
        runner = self._runner
        oldest = time.monotonic() - _RECENT_SECONDS
        fps_in = sum(at > oldest for at in list(runner.arrivals)) / _RECENT_SECONDS
        return self._statistics(runner.latency, fps_in, runner.latency.recent_rate())

    def _statistics(
        self, latency: LatencyMeter, fps_in: float, fps_out: float, *, is_total: bool = False
    ) -> LiveStatistics:
        runner, counts = self._runner, self._pipeline.statistics
        frames = max(runner.frames_out, 1)
        seconds = {**counts.stage_seconds, "write": runner.write_busy_seconds}
        return LiveStatistics(
            seconds=time.monotonic() - self._started,
            frames_in=runner.frames_in,
            frames_out=runner.frames_out,
            fps_in=fps_in,
            fps_out=fps_out,
            dropped=runner.queue.dropped + self._writer.dropped,
            latency=latency.total() if is_total else latency.recent(),
            level=self._quality.level.name,
            steps=self._controller.steps,
            faces=self._pipeline.faces_in_view,
            faces_seen=counts.faces,
            enhanced=counts.enhanced,
            stages={name: spent / frames * 1e3 for name, spent in seconds.items()},
            reconnections=self._reader.counts.reconnections,
            memory=resident_mib(),
        )

    def _summarise(self, observer: "EnhancementObserver | None") -> LiveSummary:
        runner = self._runner
        seconds = time.monotonic() - self._started
        total = self._statistics(
            runner.latency, runner.frames_in / seconds, runner.frames_out / seconds, is_total=True
        )
        self._hooks.statistics(total)
        output = Path(self._settings.output or "")
        summary = LiveSummary(
            statistics=self._pipeline.statistics,
            live=total,
            seconds=time.monotonic() - self._begin,
            startup_seconds=self._started - self._begin,
            unenhanced=runner.frames_passed,
            sink_gone=runner.sink_gone,
            damaged=self._reader.counts.damaged_packets,
            notices=tuple(dict.fromkeys([*self._notices, *self._pipeline.notices])),
            reports=self._settings.config.job.report,
            output=output if output.is_file() else None,
        )
        if observer is not None:
            self._write_reports(summary, observer)
        return summary

    # Reports ------------------------------------------------------------------------------------

    def _check_output(self) -> None:
        """Refuse an output that would replace the source."""
        source, output = Path(self._settings.source), Path(self._settings.output or "")
        if source.is_file() and output.is_file() and source.samefile(output):
            raise OutputError(f"{output}: is the source itself")

    def _check_reports(self) -> None:
        job = self._settings.config.job
        if not job.report:
            return
        from crsr_video import report

        report.check_paths(
            job.report,
            Path(self._settings.source),
            Path(self._settings.output or ""),
            overwrite=job.overwrite,
        )

    def _write_reports(self, summary: LiveSummary, observer: "EnhancementObserver") -> None:
        from crsr_video import report

        settings = self._settings
        assert self._pipeline.placement is not None
        assembled = report.assemble(
            summary,
            summary.statistics,
            observer.observations(self._pipeline.lowered),
            fps=summary.fps,
            source=report.describe_live(settings.source, self._source, summary.live.seconds),
            output=self._describe_output(summary),
            config=settings.config,
            placement=self._pipeline.placement,
            command=self._command,
        )
        report.write(assembled, settings.config.job.report)

    def _describe_output(self, summary: LiveSummary) -> "MediaFacts":
        from crsr_video import report

        path = Path(self._settings.output or "no output")
        if path.is_file():
            try:
                return report.describe(path)
            except InputError:  # Raw video does not describe itself.
                pass
        return report.describe_live(str(path), self._source, summary.live.seconds)
