"""Do one job, whatever becomes of it."""

from collections.abc import Sequence
from typing import Any

from crsr_video import api as enhancer
from crsr_video.config import Config
from crsr_video.errors import CrsrError
from crsr_video.io import pyav
from crsr_video.jobs.queue import folders
from crsr_video.jobs.queue.events import Advanced, Failed, Finished, OnEvent, Skipped, Started, Told
from crsr_video.jobs.queue.existing import is_done
from crsr_video.jobs.queue.jobs import Job


def do(
    job: Job,
    config: Config,
    on_event: OnEvent,
    *,
    command: Sequence[str] = (),
    **how: Any,
) -> None:
    """Enhance one video unless that was done before; an error becomes an event.

    Args: command: the command line, to be told in a report.
          how: passed on to `enhancer.enhance`.
    """
    try:
        if is_done(job, config):
            on_event(Skipped(job))
            return
        on_event(Started(job))
        folders.make(job)
        summary = enhancer.enhance(
            job.source,
            job.output,
            config=config.with_options(report=job.report),
            on_progress=lambda state: on_event(Advanced(job, state)),
            on_notice=lambda text: on_event(Told(job, text)),
            command=command,
            **how,
        )
        on_event(Finished(job, summary))
    except CrsrError as error:
        on_event(Failed(job, str(error), type(error).__name__))
    except OSError as error:
        on_event(Failed(job, f"{job.output}: {pyav.reason(error)}", "OutputError"))
    except Exception as error:
        on_event(Failed(job, f"{job.source}: {defect(error)}", type(error).__name__))


def defect(error: Exception) -> str:
    """What to say of an error that nobody has foreseen."""
    told = " ".join(str(error).split())
    return f"internal error, please report it: {type(error).__name__}: {told}"
