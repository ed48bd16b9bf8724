"""Many videos, one after the other or several at a time.

find   inputs and folders to jobs: what is enhanced, and under which name       finding.py
run    all jobs, in this process or in several; a failure does not stop it      running.py

What happens is told as events (events.py), the same for one process, for many and for a cluster.
"""

from crsr_video.jobs.queue.events import (
    Advanced,
    Event,
    Failed,
    Finished,
    OnEvent,
    Skipped,
    Started,
    Told,
)
from crsr_video.jobs.queue.finding import Found, Refused, find
from crsr_video.jobs.queue.jobs import Job
from crsr_video.jobs.queue.running import run

__all__ = [
    "Advanced",
    "Event",
    "Failed",
    "Finished",
    "Found",
    "Job",
    "OnEvent",
    "Refused",
    "Skipped",
    "Started",
    "Told",
    "find",
    "run",
]
