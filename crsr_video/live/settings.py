"""Settings, hooks and the summary of a live run, and the interfaces of its source and sink."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from crsr_video.config import Config
from crsr_video.errors import ConfigError
from crsr_video.io.source import Arrival, Source
from crsr_video.live.statistics import LiveStatistics
from crsr_video.runner import FrameWriter, RunSummary
from crsr_video.types import Frame, RunStatistics, TrackedFrame

MAX_LATENCY_SECONDS = 0.08
"""Default of `LiveSettings.max_latency`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """Source, output and limits of a live run.

    Attributes:
        source: Address of the source: "-" for standard input, a camera, a URL or a file.
        output: Address of the output: "-" for standard output, a URL, a file, or "camera:",
            optionally followed by the name of a virtual camera. With None, nothing is
            written, for runs whose frames only `Hooks.frame` receives.
        config: How frames are read, enhanced and written. Settings for files only
            (`scale`, `background`, `tracks`, `start`, `duration`, `resume`) must have their
            defaults.
        max_latency: Latency in seconds, from a frame's arrival until it is written, that 95 % of
            the frames should stay below.
        seconds: Time after which the run ends. With None, it ends with the source.
    """

    source: str
    output: str | None = None
    config: Config = field(default_factory=lambda: Config.from_options(region="face"))
    max_latency: float = MAX_LATENCY_SECONDS
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A value is out of range, or has no meaning for a stream.
        """
        config = self.config
        if not 0.005 <= self.max_latency <= 60:
            raise ConfigError(
                f"`max_latency` must lie between 5 and 60000 ms, but is {self.max_latency * 1e3:g}"
            )
        if self.seconds is not None and not self.seconds > 0:
            raise ConfigError(f"`seconds` must be above zero, but is {self.seconds:g}")
        if config.reading.loop and not config.reading.realtime:
            raise ConfigError("`loop` requires `realtime`: it plays a file again and again")
        if config.scale != 1:
            raise ConfigError("`scale` must be 1: a live run keeps the size of the picture")
        if config.background != "keep":
            raise ConfigError("`background` is for files: a live run keeps the background")
        if config.faces.tracks is not None:
            raise ConfigError("`tracks` belongs to a video file, not to a live run")
        if config.job.resume:
            raise ConfigError("`resume` is for files: a live run cannot be resumed")
        if config.job.start or config.job.duration is not None:
            raise ConfigError("`start` and `duration` are for files: use `seconds` in a live run")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSummary(RunSummary):
    """Summary of a finished live run.

    Attributes:
        statistics: Counts of frames and faces, and the time of every stage.
        live: Latencies and rates of the whole run.
        unenhanced: Number of frames that passed unchanged while the networks were loaded.
        sink_gone: Whether the run ended because the receiver of the output closed it.
        reports: Reports that were written.
        output: The file that was written, if the output is a file.
    """

    statistics: RunStatistics
    live: LiveStatistics
    unenhanced: int
    sink_gone: bool
    reports: tuple[Path, ...] = ()
    output: Path | None = None

    @property
    def partial(self) -> bool:
        """Always False, because every live run may lose frames."""
        return False

    @property
    def written(self) -> tuple[Path, ...]:
        """All files that were written."""
        return (*([self.output] if self.output else []), *self.reports)

    @property
    def fps(self) -> float:
        """Frame rate of the output."""
        return self.live.fps_out


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions that a run calls, from the thread that called it unless stated otherwise.

    Attributes:
        notice: Called with each notice for the user.
        statistics: Called every second.
        finished: Called at the end, even if the run was interrupted.
        loading: Called when the source delivers, before the networks are loaded.
        frame: Called with each finished frame, from a thread of the run, which it must not delay.
        strength: Called for each frame, from a thread of the run. Returns the share of the
            correction that is applied. Defaults to the strength of the settings.
    """

    notice: Callable[[str], None] = lambda _: None
    statistics: Callable[[LiveStatistics], None] = lambda _: None
    finished: Callable[[LiveSummary], None] = lambda _: None
    loading: Callable[[], None] = lambda: None
    frame: Callable[[TrackedFrame, Frame], None] | None = None
    strength: Callable[[], float] | None = None


class LiveSource(Protocol):
    """Interface that a live run needs from a reader."""

    @property
    def state(self) -> str:
        """Activity of the reader, for messages."""
        ...

    def __iter__(self) -> Iterator[Arrival]:
        """Yield everything that arrives, until the source ends."""
        ...

    def interrupt(self) -> None:
        """End the iteration soon. Any thread may call this."""
        ...


class LiveSink(FrameWriter, Protocol):
    """Interface that a live run needs from a writer."""

    @property
    def state(self) -> str:
        """Activity of the writer, for messages."""
        ...

    def change(self, source: Source) -> None:
        """Adapt to a source with another picture format or other streams."""
        ...

    def close(self) -> None:
        """Finish the output."""
        ...

    def abort(self) -> None:
        """Stop at once. Another thread may call this while `push` waits."""
        ...
