"""What happens to jobs, in words that travel between processes."""

from collections.abc import Callable
from dataclasses import dataclass

from crsr_video.api import Summary
from crsr_video.jobs.queue.jobs import Job
from crsr_video.runner import Progress


@dataclass(frozen=True, slots=True)
class Started:
    """Work on a job begins."""

    job: Job


@dataclass(frozen=True, slots=True)
class Advanced:
    """A frame of a job is finished."""

    job: Job
    progress: Progress


@dataclass(frozen=True, slots=True)
class Told:
    """Something the user should know of a job."""

    job: Job
    text: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The result was there already."""

    job: Job


@dataclass(frozen=True, slots=True)
class Finished:
    """A job is done."""

    job: Job
    summary: Summary


@dataclass(frozen=True, slots=True)
class Failed:
    """A job came to nothing."""

    job: Job
    message: str
    kind: str
    """Name of the error."""


Event = Started | Advanced | Told | Skipped | Finished | Failed
OnEvent = Callable[[Event], None]
