"""Summary of a finished run over one file."""

from dataclasses import dataclass
from pathlib import Path

from crsr_video.io.output_plan import OutputPlan
from crsr_video.runner import RunSummary
from crsr_video.types import RunStatistics, VideoInfo


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
