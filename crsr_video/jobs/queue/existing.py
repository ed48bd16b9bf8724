"""Whether a job is done already."""

from crsr_video.config import Config
from crsr_video.errors import InputError, OutputError
from crsr_video.io.integrity import have_same_duration, stated_duration
from crsr_video.jobs.queue.jobs import Job
from crsr_video.jobs.segments.folder import work_folder


def is_done(job: Job, config: Config) -> bool:
    """Whether a whole result is there that is no older than its source.

    By which choices it was made, nobody can tell: other choices need `Config.overwrite`.
    Raises: OutputError: something is there that is no such result; it is not touched.
    """
    if config.job.overwrite or not job.output.exists() or not job.source.exists():
        return False
    if config.job.resume and work_folder(job.output).is_dir():
        return False
    if job.output.samefile(job.source):
        return False  # Which is refused, as for one file.
    advice = "--overwrite replaces it"
    if job.output.stat().st_mtime < job.source.stat().st_mtime:
        raise OutputError(f"{job.output}: exists, but is older than {job.source}; {advice}")
    try:
        stated_duration(job.output)
    except InputError as error:
        raise OutputError(f"{error}; {advice}") from error
    part = config.job.start > 0 or config.job.duration is not None
    if not part and not have_same_duration(job.output, job.source):
        raise OutputError(f"{job.output}: exists, but is not as long as its source; {advice}")
    return True
