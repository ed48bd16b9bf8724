"""Enhance one file: a video or a still picture. Each kind of run takes the same arguments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from crsr_video.config import Config
from crsr_video.errors import ConfigError
from crsr_video.io import pipes, sequences, still_files
from crsr_video.io.destinations.byte_streams import check_standard_output
from crsr_video.io.output_plan import OutputPlan
from crsr_video.keyword_settings import FileKeywords
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


OnProgress = Callable[[Progress], None]
OnNotice = Callable[[str], None]


def enhance(
    source: str | Path,
    output: str | Path | None = None,
    *,
    config: Config | None = None,
    on_progress: OnProgress | None = None,
    on_notice: OnNotice | None = None,
    command: Sequence[str] = (),
    networks: "Networks | None" = None,
    executor: "SegmentExecutor | None" = None,
    **settings: Unpack[FileKeywords],
) -> Summary:
    """Enhance the faces of a video file, or of a picture.

    Args:
        source: A video or picture file, or "-" for standard input.
        output: Path of the output. Defaults to ``NAME.enhanced.EXT`` beside the source. "-" is
            standard output.
        config: Settings. Defaults to ``Config()``.
        on_progress: Called after every frame, from the calling thread.
        on_notice: Called with each notice for the user, as soon as it is known.
        command: Command line to show in a report.
        networks: Networks of this configuration, if they are loaded already.
        executor: Executor for the segments of a resumable run. Defaults to this process.
        **settings: Single settings by name, such as ``strength=0.8``, ``crf=18`` or
            ``overwrite=True``, which replace those of `config`. They are documented in
            `FaceSettings`, `NetworkSettings`, `OutputSettings`, `JobSettings`, `ReadSettings` and
            `Config`.

    Raises:
        CrsrError: The file cannot be enhanced. Nothing is left under the output's name then.

    Example:
        >>> done = enhance("interview.mp4", "better.mp4", strength=0.8, overwrite=True)
        >>> done.statistics.frames
        10
    """
    chosen = (config or Config()).with_options(**settings)
    _check_pipes(source, output, chosen)
    run = FileRun(
        source=source,
        output=output,
        config=chosen,
        on_progress=on_progress or (lambda _: None),
        notices=Notices(on_notice),
        command=tuple(command),
        networks=networks,
        executor=executor,
    )
    # Each kind of run loads modules that the others do not need.
    if still_files.is_still(source):
        from crsr_video.jobs.picture_file import enhance_picture

        return enhance_picture(run)
    if sequences.is_sequence(source) or sequences.is_sequence(output):
        from crsr_video.jobs.picture_file import enhance_sequence

        return enhance_sequence(run)
    if chosen.job.resume:
        from crsr_video.jobs.video_file import enhance_in_segments

        return enhance_in_segments(run)
    from crsr_video.jobs.video_file import enhance_video

    return enhance_video(run)


def _check_pipes(source: str | Path, output: str | Path | None, config: Config) -> None:
    """Refuse settings that need files if the source or the output is a pipe."""
    reads, writes = pipes.is_standard(source), pipes.is_standard(output)
    if not (reads or writes):
        return
    if config.job.resume:
        raise ConfigError("`resume` needs an input file and an output file, not pipes")
    if config.job.report:
        raise ConfigError("`report` needs an input file and an output file, not pipes")
    if reads and config.faces.tracks is not None:
        raise ConfigError("`tracks` belongs to a video file, not to standard input")
    if writes:
        check_standard_output()
