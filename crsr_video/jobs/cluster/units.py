"""Segments on their way to workers and back."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from crsr_video.errors import ClusterError
from crsr_video.jobs.cluster.worker import Done, Trouble
from crsr_video.jobs.segments import Plan, Segment, SegmentResult


@dataclass(slots=True)
class Ticket:
    """A video's segments on their way."""

    answers: SimpleQueue[Done | Trouble] = field(default_factory=SimpleQueue)
    given_up: Event = field(default_factory=Event)


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A segment that is to be done."""

    plan: Plan
    segment: Segment
    folder: Path
    ticket: Ticket
    tried: int = 0
    """Workers that have died of it."""


def is_seen(unit: Unit) -> bool:
    """Whether this machine, at least, sees source and folder."""
    return os.access(unit.plan.source, os.R_OK) and os.access(unit.folder, os.W_OK)


def checked(answer: Done | Trouble, folder: Path) -> SegmentResult:
    """The result, if its file is here as the worker wrote it.

    Raises: ClusterError.
    """
    if isinstance(answer, Trouble):
        raise ClusterError(answer.message)
    result = answer.result
    if result.name:
        path = folder / result.name
        try:
            with path.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == result.sha256
        except OSError as error:
            told = f"{path}: cannot be read here: {error.strerror} (written by {answer.node})"
            raise ClusterError(told) from error
        if not same:
            raise ClusterError(f"{path}: is not as machine {answer.node} wrote it")
    return result


def line(error: BaseException) -> str:
    """What Ray says, without its pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
