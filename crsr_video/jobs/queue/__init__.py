"""Many videos, one after another or several at a time.

`find` turns files and folders into jobs. `run` executes several jobs in worker processes, so
that neither a failed job nor a crash of the interpreter stops the others.
"""

from crsr_video.jobs.events import (
    Advanced,
    Event,
    Failed,
    Finished,
    Job,
    Noticed,
    OnEvent,
    Skipped,
    Started,
)
from crsr_video.jobs.queue.finding import Found, Refused, find, make_job
from crsr_video.jobs.queue.job_runner import (
    is_done,
    make_folders,
    removing_empty_folders,
    run_job,
)
from crsr_video.jobs.queue.overview import Overviews
from crsr_video.jobs.queue.process_pool import run

__all__ = [
    "Advanced",
    "Event",
    "Failed",
    "Finished",
    "Found",
    "Job",
    "Noticed",
    "OnEvent",
    "Overviews",
    "Refused",
    "Skipped",
    "Started",
    "find",
    "is_done",
    "make_folders",
    "make_job",
    "removing_empty_folders",
    "run",
    "run_job",
]
