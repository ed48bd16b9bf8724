"""Jobs, and the events that report on them. Both can be sent between processes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crsr_video.errors import CrsrError
from crsr_video.runner import Progress

if TYPE_CHECKING:
    from crsr_video.jobs.file import Summary


@dataclass(frozen=True, slots=True)
class Job:
    """One video to enhance."""

    source: Path
    output: Path
    folder: Path = Path()
    """Folder of the source relative to the input folder; "." for an input file."""
    report: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """Work on a job has begun."""

    job: Job


@dataclass(frozen=True, slots=True)
class Advanced:
    """A frame of a job is finished."""

    job: Job
    progress: Progress


@dataclass(frozen=True, slots=True)
class Noticed:
    """There is a notice about a job for the user."""

    job: Job
    text: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The result of a job already exists."""

    job: Job


@dataclass(frozen=True, slots=True)
class Finished:
    """A job is done."""

    job: Job
    summary: "Summary"


@dataclass(frozen=True, slots=True)
class Failed:
    """A job has failed."""

    job: Job
    message: str
    kind: str
    """Name of the exception class."""


Event = Started | Advanced | Noticed | Skipped | Finished | Failed
OnEvent = Callable[[Event], None]


def describe_error(error: Exception) -> str:
    """Return an error's message in one line. That of an unexpected error asks for a bug report."""
    message = " ".join(str(error).split())
    if isinstance(error, CrsrError):
        return message
    return f"internal error, please report it: {type(error).__name__}: {message}"
