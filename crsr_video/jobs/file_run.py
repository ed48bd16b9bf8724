"""Arguments of a run over one file, as every kind of run takes them, and its summary."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crsr_video.config import Config
from crsr_video.io.output_plan import OutputPlan
from crsr_video.runner import Notices, Progress, RunSummary
from crsr_video.types import RunStatistics, VideoInfo

if TYPE_CHECKING:
    from crsr_video.jobs.segments import SegmentExecutor
    from crsr_video.runtime.loading import Networks


@dataclass(frozen=True, slots=True)
class FileRun:
    """A run over one file. The arguments of `crsr_video.jobs.file.enhance` describe the fields.

    Attributes:
        source: File to read, or "-" for standard input.
        output: File to write, "-" for standard output, or None for the default name.
        config: All settings.
        on_progress: Called after every frame.
        notices: Passes on the notices for the user, and keeps them.
        command: Command line to show in a report.
        networks: Loaded networks of the configuration, if any.
        executor: Executor for the segments of a resumable run. None stands for this process.
    """

    source: str | Path
    output: str | Path | None
    config: Config
    on_progress: Callable[[Progress], None]
    notices: Notices
    command: tuple[str, ...] = ()
    networks: "Networks | None" = None
    executor: "SegmentExecutor | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(RunSummary):
    """Summary of a finished run.

    Attributes:
        source: The video that was read.
        output: The file that was written.
        video: Properties of the source.
        plan: How the output was written.
        statistics: Counts of frames and faces, and the time of every stage.
        resumed: Number of frames that an earlier run had finished, see `JobSettings.resume`.
        is_copy: Whether nothing was changed, so that the result is a copy of the source.
        reports: Reports that were written, see `JobSettings.report`.
    """

    source: Path
    output: Path
    video: VideoInfo
    plan: OutputPlan
    statistics: RunStatistics
    resumed: int = 0
    is_copy: bool = False
    reports: tuple[Path, ...] = ()

    @property
    def fps(self) -> float:
        """Frames per second of this run, without resumed frames and the startup time."""
        return self.rate_of(self.statistics.frames - self.resumed)
