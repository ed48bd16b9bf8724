"""Arguments of a run over one file, as every kind of run takes them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crsr_video.config import Config
from crsr_video.runner import Notices, Progress

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
