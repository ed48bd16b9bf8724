"""A queue of videos on many machines, by Ray.

run            jobs to workers, results to files                            running.py
connected      a cluster, or a small one on this machine                    connection.py
SegmentWorker  what runs on each machine, and holds the networks            worker.py
Fleet          the workers as Ray's actors, and who does what               fleet.py
Share          what a worker takes of a machine                             places.py

Every video is enhanced in segments, as a resumable run does it (`crsr_video.jobs.segments`):
one machine plans and joins, the workers enhance whatever segment comes next. All of them see
the same files under the same names. Ray chooses machines, and starts workers, those that died once
more; the segment of one that was lost goes to another. See scaling.md for how far that goes.
"""

from crsr_video.jobs.cluster.connection import connected
from crsr_video.jobs.cluster.places import Share
from crsr_video.jobs.cluster.running import run

__all__ = ["Share", "connected", "run"]
