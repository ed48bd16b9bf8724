"""Run all jobs of a queue."""

from collections import deque
from collections.abc import Sequence

from crsr_video.config import Config
from crsr_video.jobs.events import Job, OnEvent
from crsr_video.jobs.queue.job_runner import removing_empty_folders, run_job
from crsr_video.jobs.queue.process_pool import ProcessPool
from crsr_video.runtime import loading


def run(
    jobs: Sequence[Job],
    config: Config,
    on_event: OnEvent,
    *,
    processes: int = 1,
    command: Sequence[str] = (),
) -> None:
    """Run all jobs. Each process loads the networks once.

    A single job runs in this process. Several jobs run in worker processes, even if only one runs
    at a time, so that a file that crashes the interpreter ends only its own job.

    Args:
        jobs: The jobs.
        config: Settings of all jobs.
        on_event: Receives all events, in the calling thread. An exception that it raises ends all
            processes.
        processes: Maximum number of jobs that run at the same time.
        command: Words of the command line, for reports.

    Raises:
        DeviceError: The device cannot be used.
        WeightsError: The weights cannot be loaded.
    """
    with removing_empty_folders(jobs):
        if len(jobs) == 1:
            networks = loading.load_networks(config).taking_turns()
            run_job(jobs[0], config, on_event, command=command, networks=networks)
            return
        with ProcessPool(config, min(processes, len(jobs)), command) as pool:
            pool.run(deque(jobs), on_event)
