"""Do all jobs: in this process, or in several."""

from collections import deque
from collections.abc import Sequence

from crsr_video import pipeline
from crsr_video.config import Config
from crsr_video.jobs.queue import one
from crsr_video.jobs.queue.crew import Crew
from crsr_video.jobs.queue.events import OnEvent
from crsr_video.jobs.queue.folders import tidied
from crsr_video.jobs.queue.jobs import Job


def run(
    jobs: Sequence[Job],
    config: Config,
    on_event: OnEvent,
    *,
    processes: int = 1,
    command: Sequence[str] = (),
) -> None:
    """Enhance all; what becomes of each is told as events, from the calling thread.

    The networks are loaded once for each process.
    Args:   processes: files that are enhanced at a time.
            command: the command line, to be told in reports.
    Raises: DeviceError, WeightsError: nothing can be enhanced.
            whatever `on_event` raises, and what interrupts: all processes have ended then.
    """
    with tidied(jobs):
        if processes == 1 or len(jobs) == 1:
            networks = pipeline.load_networks(config).taking_turns()
            for job in jobs:
                one.do(job, config, on_event, command=command, networks=networks)
            return
        with Crew(config, min(processes, len(jobs)), command) as crew:
            crew.work(deque(jobs), on_event)
