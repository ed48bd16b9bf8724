"""Folders for results: made when they are needed, and gone again if nothing comes into them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.jobs.queue.jobs import Job


@contextmanager
def tidied(jobs: Iterable[Job]) -> Iterator[None]:
    """Remove in the end what `make` has made for the jobs and what is empty."""
    needed = {path.parent for job in jobs for path in (job.output, *job.report)}
    missing = {
        folder
        for parent in needed
        for folder in (parent, *parent.parents)
        if not os.path.exists(folder)  # noqa: PTH110 - a Path raises where it may not look
    }
    try:
        yield
    finally:
        for folder in sorted(missing, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):  # It holds something, as it should.
                folder.rmdir()


def make(job: Job) -> None:
    """Make the folders of a job.

    Raises: OutputError.
    """
    for path in (job.output, *job.report):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            told = f"{path.parent}: cannot be made: {pyav.reason(error)}"
            raise OutputError(told) from error
