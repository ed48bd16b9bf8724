"""Write the reports of a run over one file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from crsr_video import report
from crsr_video.config import Config
from crsr_video.jobs.file import Summary
from crsr_video.runtime.placement import Placement
from crsr_video.track.recognition import installed_recogniser


class RunReports:
    """Writes the reports that `JobSettings.report` names, once the run is finished.

    Args:
        config: All settings of the run.
        source: The file that the run reads.
        output: The file that the run writes.
        command: Command line to show in the reports.

    Attributes:
        observer: Collects the observations for the reports, frame by frame.
    """

    def __init__(self, config: Config, source: Path, output: Path, command: Sequence[str]) -> None:
        model, tracks = Path(config.networks.model), config.faces.tracks
        report.check_paths(
            config.job.report,
            source,
            output,
            overwrite=config.job.overwrite,
            inputs=(*([tracks] if tracks else []), *([model] if model.is_file() else [])),
        )
        self._config = config
        self._command = tuple(command)
        self.observer = report.EnhancementObserver(installed_recogniser())

    def write(
        self, summary: Summary, observations: report.Observations, placement: Placement
    ) -> Summary:
        """Write the reports, and return the summary with their paths."""
        document = report.assemble(
            summary,
            summary.statistics,
            observations,
            fps=summary.fps,
            resumed=summary.resumed,
            source=report.describe(summary.source, summary.plan.carried),
            output=report.describe(summary.output),
            config=self._config,
            placement=placement,
            command=self._command,
        )
        report.write(document, self._config.job.report)
        statistics = replace(summary.statistics, people=len(observations.people))
        return replace(summary, statistics=statistics, reports=self._config.job.report)
