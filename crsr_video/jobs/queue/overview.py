"""Collect the outcomes of the jobs of a queue, and write them to overview files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crsr_video.config import Config
from crsr_video.errors import OutputError
from crsr_video.jobs.events import Event, Failed, Finished, Job, Skipped
from crsr_video.jobs.queue.finding import Refused
from crsr_video.report.document import OverviewRow, is_overview, write_overview


class Overviews:
    """The overview files of a queue: those reports in its settings whose names contain no ``*``.

    Args:
        config: Settings of the queue.
        jobs: All jobs. A report that belongs to one of them is not an overview.

    Raises:
        OutputError: A file that is not an overview has the name of one, and may not be replaced.
    """

    def __init__(self, config: Config, jobs: Sequence[Job]) -> None:
        own = {path for job in jobs for path in job.report}
        self.paths = [p for p in config.job.report if "*" not in p.name and p not in own]
        self._rows: list[OverviewRow] = []
        for path in self.paths:
            if path.exists() and not (config.job.overwrite or is_overview(path)):
                raise OutputError(f"{path}: exists already; `overwrite` replaces it")

    def refuse(self, refused: Sequence[Refused]) -> None:
        """Add the inputs that could not become jobs."""
        for item in refused:
            self._rows.append(
                OverviewRow(source=str(item.path), state="failed", message=item.message)
            )

    def handle(self, event: Event) -> None:
        """Add the outcome of a job, if the event is the end of one."""
        match event:
            case Skipped(job):
                self._rows.append(self._row(job, state="skipped"))
            case Failed(job, message):
                self._rows.append(self._row(job, state="failed", message=message))
            case Finished(job, summary):
                found = summary.statistics
                self._rows.append(
                    self._row(
                        job,
                        state="enhanced" if found.enhanced else "unchanged",
                        message="the source is damaged" if summary.partial else "",
                        people=found.people,
                        faces=found.faces,
                        enhanced=found.enhanced,
                        frames=found.frames,
                    )
                )

    def write(self) -> None:
        """Write the overviews.

        Raises:
            OutputError: One of them cannot be written.
        """
        for path in self.paths:
            write_overview(path, sorted(self._rows, key=lambda row: row.source))

    def _row(self, job: Job, **facts: Any) -> OverviewRow:
        pages = [path for path in job.report if path.suffix != ".json" and path.exists()]
        page = None
        if pages and self.paths:
            page = Path(os.path.relpath(pages[0], self.paths[0].parent)).as_posix()
        return OverviewRow(
            source=str(job.source),
            output=str(job.output),
            source_bytes=_size_of(job.source),
            output_bytes=_size_of(job.output),
            page=page,
            **facts,
        )


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
