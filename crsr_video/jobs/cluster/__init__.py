"""Many videos on many machines, with Ray.

Every video is enhanced in segments, like a resumable run (`crsr_video.jobs.segments`). The machine
that runs the command plans and joins, and the workers enhance the next segment of any video. All
machines see the same files under the same paths. Ray chooses the machines and restarts workers that
died; the segment of a lost worker goes to another one. ``docs/scaling.md`` has figures and limits.
"""

from crsr_video.jobs.cluster.actor_pool import WorkerResources
from crsr_video.jobs.cluster.connection import connected
from crsr_video.jobs.cluster.running import run

__all__ = ["WorkerResources", "connected", "run"]
