"""A live run, from settings to summary.

The source is opened first, then the sink, so that what cannot work fails at once; the networks and
their libraries, which take seconds, are loaded while the source is being read already.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crsr_video.errors import InputError, OutputError
from crsr_video.io.live_reader import LiveReader
from crsr_video.io.writer import LiveWriter
from crsr_video.live.engine import Engine
from crsr_video.live.governor import Governor
from crsr_video.live.latency import LatencyMeter
from crsr_video.live.settings import LiveSettings
from crsr_video.live.statistics import LiveStatistics, resident
from crsr_video.live.watchdog import Watchdog
from crsr_video.runner import RunSummary
from crsr_video.stages.quality import LiveQuality, QualityLevel
from crsr_video.types import Frame, TrackedFrame

if TYPE_CHECKING:
    from crsr_video.live.preview import Preview
    from crsr_video.report import Observer
    from crsr_video.report.facts import MediaFacts
    from crsr_video.types import RunStatistics

_TICK = 0.25
"""Seconds between two looks at everything."""
_TELL_EVERY = 1.0
"""Seconds between two statistics."""
_MOST_NOTICES = 200
"""Different lines that are kept for the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSummary(RunSummary):
    """What a finished run did."""

    statistics: "RunStatistics"
    live: LiveStatistics
    """Of the whole run."""
    sink_gone: bool
    """It ended because nobody read the result any more."""
    reports: tuple[Path, ...] = ()
    output: Path | None = None
    """The file that was written, if it is one."""

    @property
    def partial(self) -> bool:
        """Always False: losses are part of every live run."""
        return False

    @property
    def written(self) -> tuple[Path, ...]:
        """All files."""
        return (*([self.output] if self.output else []), *self.reports)

    @property
    def fps(self) -> float:
        """Frames a second that left."""
        return self.live.fps_out


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who wants to be told; all are called from the thread that runs."""

    notice: Callable[[str], None] = lambda _: None
    """Something the user should know."""
    statistics: Callable[[LiveStatistics], None] = lambda _: None
    """Every second."""
    finished: Callable[[LiveSummary], None] = lambda _: None
    """At the end, an interrupted run's too."""


def run(
    settings: LiveSettings,
    hooks: Hooks | None = None,
    *,
    command: Sequence[str] = (),
) -> LiveSummary:
    """Enhance a live stream until it ends, its reader goes away, or an exception comes.

    Args:    command: the command line, to be told in a report.
    Raises:  CrsrError: neither source nor sink could be used, or one broke for good.
    """
    return LiveRun(settings, hooks or Hooks(), command).run()


class LiveRun:
    """One run; `run` may be called once."""

    def __init__(self, settings: LiveSettings, hooks: Hooks, command: Sequence[str] = ()) -> None:
        self._settings, self._hooks, self._command = settings, hooks, tuple(command)
        self._notices: dict[str, None] = {}
        self._lines: list[str] = []
        self._effort = LiveQuality()
        self._begin = time.monotonic()
        self._told = self._begin

    def run(self) -> LiveSummary:
        """See `run` of this module."""
        settings = self._settings
        with ExitStack() as stack:
            self._source = stack.enter_context(
                LiveReader(settings.source, settings.config.reading, on_event=self._event)
            )
            feed = self._feed = self._source.feed
            self._check_sink()
            self._check_reports()
            self._sink = LiveWriter(
                settings.output,
                feed,
                settings.config.output,
                overwrite=settings.config.job.overwrite,
                on_event=self._event,
            )
            stack.callback(self._sink.abort)
            for notice in self._sink.notices:
                self._event(notice)
            self._preview = self._open_preview(stack)
            return self._run_engine(stack)

    def _run_engine(self, stack: ExitStack) -> LiveSummary:
        settings = self._settings
        self._watchdog = Watchdog(self._event)
        self._governor = Governor(self._effort, settings.max_latency, tell=self._stepped)
        waits = not self._source.is_live
        self._engine = stack.enter_context(
            Engine(
                self._source,
                self._sink,
                self._effort,
                most=settings.max_latency,
                governor=None if waits else self._governor,
                watchdog=self._watchdog,
                waits=waits,
            )
        )
        # Loaded while the source is being read already: what has come till then is stale, and a
        # camera or a socket that nobody reads runs over. A file waits.
        stored = Path(settings.source).is_file()
        if not stored:
            self._engine.start()
        from crsr_video import pipeline, report

        self._frames = stack.enter_context(
            pipeline.build(settings.config, live=True, quality=self._effort)
        )
        self._frames.warm_up()
        observer = report.Observer() if settings.config.job.report else None
        self._observe(observer)
        for notice in self._frames.notices:
            self._event(notice)
        if stored:
            self._source.restart_pace()
        missed = self._engine.work(self._frames)
        if missed:
            self._event(f"{missed} frames came while the networks were loaded, and are left out")
        self._started = time.monotonic()
        try:
            self._supervise()
        except Exception:
            self._end()
            raise
        except BaseException:
            # To be interrupted is the usual end of a run without an end: it is told of as any.
            self._end()
            self._hooks.finished(self._summary(observer))
            raise
        self._end()
        summary = self._summary(observer)
        self._hooks.finished(summary)
        return summary

    def _end(self) -> None:
        """What is on its way is still written."""
        self._engine.close()
        self._pass_on()

    def _supervise(self) -> None:
        end = None if self._settings.seconds is None else self._started + self._settings.seconds
        while not self._engine.wait(_TICK):
            now = time.monotonic()
            self._pass_on()
            self._watchdog.look(self._engine.states)
            if now - self._told >= _TELL_EVERY:
                self._told = now
                self._tell(self._now())
            if end is not None and now >= end:
                self._engine.stop()
                end = None

    def _tell(self, statistics: LiveStatistics) -> None:
        self._hooks.statistics(statistics)
        if self._preview is not None:
            self._preview.tell(statistics.as_json())

    def _event(self, line: str) -> None:
        """Something happened; said from the thread that runs, at its next look."""
        self._lines.append(line)

    def _stepped(self, level: QualityLevel, why: str) -> None:
        self._event(f"quality: {level.name} ({why})")

    def _pass_on(self) -> None:
        while self._lines:
            line = self._lines.pop(0)
            if len(self._notices) < _MOST_NOTICES:
                self._notices[line] = None
            self._hooks.notice(line)

    def _open_preview(self, stack: ExitStack) -> "Preview | None":
        if self._settings.preview is None:
            return None
        from crsr_video.live.preview import Preview  # A web server, for those who want one.

        preview = stack.enter_context(Preview(self._settings.preview))
        self._event(f"preview: {preview.url}")
        return preview

    def _observe(self, observer: "Observer | None") -> None:
        preview = self._preview
        if observer is None and preview is None:
            return

        def look(item: TrackedFrame, done: Frame) -> None:
            if observer is not None:
                observer.push(item, done)
            if preview is not None:
                preview.show(item.frame, done)

        self._frames.observer = look

    # Figures ------------------------------------------------------------------------------------

    def _now(self) -> LiveStatistics:
        engine = self._engine
        arrivals = [at for at in list(engine.arrivals) if at > time.monotonic() - 2.0]
        return self._statistics(engine.latency, len(arrivals) / 2.0, engine.latency.recent_rate())

    def _statistics(
        self, latency: LatencyMeter, fps_in: float, fps_out: float, *, whole: bool = False
    ) -> LiveStatistics:
        engine, counts = self._engine, self._frames.statistics
        frames = max(engine.frames_out, 1)
        return LiveStatistics(
            seconds=time.monotonic() - self._started,
            frames_in=engine.frames_in,
            frames_out=engine.frames_out,
            fps_in=fps_in,
            fps_out=fps_out,
            dropped=engine.mailbox.dropped + self._sink.dropped,
            latency=latency.total() if whole else latency.recent(),
            level=self._effort.level.name,
            steps=self._governor.steps,
            faces=self._frames.faces_in_view,
            faces_seen=counts.faces,
            enhanced=counts.enhanced,
            stages={
                **{name: seconds / frames * 1e3 for name, seconds in counts.stage_seconds.items()},
                "write": engine.busy["sink"] / frames * 1e3,
            },
            reconnections=self._source.counts.reconnections,
            memory=resident(),
        )

    def _summary(self, observer: "Observer | None") -> LiveSummary:
        engine = self._engine
        seconds = time.monotonic() - self._started
        whole = self._statistics(
            engine.latency, engine.frames_in / seconds, engine.frames_out / seconds, whole=True
        )
        self._tell(whole)
        sink = Path(self._settings.output)
        summary = LiveSummary(
            statistics=self._frames.statistics,
            live=whole,
            seconds=time.monotonic() - self._begin,
            startup_seconds=self._started - self._begin,
            sink_gone=engine.sink_gone,
            damaged=self._source.counts.damaged_packets,
            notices=tuple(dict.fromkeys([*self._notices, *self._frames.notices])),
            reports=self._settings.config.job.report,
            output=sink if sink.is_file() else None,
        )
        if observer is not None:
            self._report(summary, observer)
        return summary

    # The report ---------------------------------------------------------------------------------

    def _check_sink(self) -> None:
        """Raises: OutputError: the result would replace what is read."""
        source, sink = Path(self._settings.source), Path(self._settings.output)
        if source.is_file() and sink.is_file() and source.samefile(sink):
            raise OutputError(f"{sink}: is the source itself")

    def _check_reports(self) -> None:
        settings = self._settings
        if not settings.config.job.report:
            return
        from crsr_video import report

        report.check_paths(
            settings.config.job.report,
            Path(settings.source),
            Path(settings.output),
            overwrite=settings.config.job.overwrite,
        )

    def _report(self, summary: LiveSummary, observer: "Observer") -> None:
        from crsr_video import report

        settings, feed = self._settings, self._feed
        assert self._frames.placement is not None
        told = report.assemble(
            summary,
            summary.statistics,
            observer.observations(self._frames.lowered),
            fps=summary.fps,
            source=report.describe_feed(settings.source, feed, summary.live.seconds),
            output=self._output(summary),
            config=settings.config,
            placement=self._frames.placement,
            command=self._command,
        )
        report.write(told, settings.config.job.report)

    def _output(self, summary: LiveSummary) -> "MediaFacts":
        from crsr_video import report

        path = Path(self._settings.output)
        if path.is_file():
            try:
                return report.describe(path)
            except InputError:  # Raw video and the like say nothing of themselves.
                pass
        return report.describe_feed(str(path), self._feed, summary.live.seconds)
