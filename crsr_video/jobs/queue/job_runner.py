"""Run one job: enhance a file unless its result exists, and make the folders that it needs."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from crsr_video.config import Config, OutputSettings, ReadSettings
from crsr_video.errors import CrsrError, InputError, OutputError
from crsr_video.io import images, pyav, still_files
from crsr_video.io.damage import is_as_long_as_source, stated_duration
from crsr_video.jobs.events import (
    Advanced,
    Failed,
    Finished,
    Job,
    Noticed,
    OnEvent,
    Skipped,
    Started,
    describe_error,
)
from crsr_video.jobs.file import enhance
from crsr_video.jobs.segments.work_folder import work_folder_of

if TYPE_CHECKING:
    from crsr_video.jobs.segments import SegmentExecutor
    from crsr_video.runtime.loading import Networks


def run_job(
    job: Job,
    config: Config,
    on_event: OnEvent,
    *,
    command: Sequence[str] = (),
    networks: "Networks | None" = None,
    executor: "SegmentExecutor | None" = None,
) -> None:
    """Enhance one video or picture unless its result exists. Errors become events.

    Settings that only apply to videos are ignored for pictures.

    Args:
        job: The job.
        config: Settings of the job, except for its reports, which `job` lists.
        on_event: Receives all events.
        command: Words of the command line, for reports.
        networks: Loaded networks of this configuration, if any.
        executor: Executor for the segments of a resumable run. Defaults to this process.
    """
    try:
        if still_files.is_still(job.source):
            config = _for_pictures(config)
        if is_done(job, config):
            on_event(Skipped(job))
            return
        on_event(Started(job))
        make_folders(job)
        summary = enhance(
            job.source,
            job.output,
            config=config.with_options(report=job.report),
            on_progress=lambda progress: on_event(Advanced(job, progress)),
            on_notice=lambda text: on_event(Noticed(job, text)),
            command=command,
            networks=networks,
            executor=executor,
        )
        on_event(Finished(job, summary))
    except CrsrError as error:
        is_named = any(str(path) in str(error) for path in (job.source, job.output, *job.report))
        text = str(error) if is_named else f"{job.source}: {error}"
        on_event(Failed(job, text, type(error).__name__))
    except OSError as error:
        on_event(Failed(job, f"{job.output}: {pyav.reason(error)}", "OutputError"))
    except Exception as error:
        on_event(Failed(job, f"{job.source}: {describe_error(error)}", type(error).__name__))


def _for_pictures(config: Config) -> Config:
    """Return the settings without those that only apply to videos."""
    return config.with_options(
        start=0.0,
        duration=None,
        resume=False,
        restart=False,
        reading=ReadSettings(),
        output=OutputSettings(strict=config.output.strict),
    )


def is_done(job: Job, config: Config) -> bool:
    """Return whether a complete result exists that is not older than its source.

    The settings that an existing result was made with are unknown. To apply other settings, use
    `JobSettings.overwrite`.

    Raises:
        OutputError: The existing file is older than the source, shorter, or damaged. It is left
            as it is.
    """
    options = config.job
    if options.overwrite or not job.output.exists() or not job.source.exists():
        return False
    if options.resume and work_folder_of(job.output).is_dir():
        return False
    if job.output.samefile(job.source):
        return False  # `enhance` refuses this with a message.
    advice = "`overwrite` replaces it"
    if job.output.stat().st_mtime < job.source.stat().st_mtime:
        raise OutputError(f"{job.output}: exists, but is older than {job.source}; {advice}")
    if still_files.is_still(job.output):
        return _is_whole_picture(job.output, advice)
    try:
        stated_duration(job.output)
    except InputError as error:
        raise OutputError(f"{error}; {advice}") from error
    is_part = options.start > 0 or options.duration is not None
    if not is_part and not is_as_long_as_source(job.output, job.source):
        raise OutputError(f"{job.output}: exists, but is not as long as its source; {advice}")
    return True


def _is_whole_picture(path: Path, advice: str) -> bool:
    """Return True for a picture that can be read."""
    try:
        images.read(path)
    except InputError as error:
        raise OutputError(f"{error}; {advice}") from error
    return True


@contextmanager
def removing_empty_folders(jobs: Iterable[Job]) -> Iterator[None]:
    """Remove, when the block ends, the folders that `make_folders` made and that are empty."""
    parents = {path.parent for job in jobs for path in (job.output, *job.report)}
    missing = {
        folder
        for parent in parents
        for folder in (parent, *parent.parents)
        if not os.path.exists(folder)  # A Path raises where access is denied.
    }
    try:
        yield
    finally:
        for folder in sorted(missing, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):  # A folder that contains results is kept.
                folder.rmdir()


def make_folders(job: Job) -> None:
    """Make the folders of a job's result and reports.

    Raises:
        OutputError: A folder cannot be made.
    """
    for path in (job.output, *job.report):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = pyav.reason(error)
            raise OutputError(f"{path.parent}: cannot be made: {reason}") from error
