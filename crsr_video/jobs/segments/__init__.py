"""One video in segments, for runs that go on after a crash, and for many machines.

plan                where segments begin, decided from the source alone         planning.py
Worker              enhances segments, one at a time, each into its own file    work.py
join                the segments' packets and all other streams, in one file    joining.py
enhance_resumably   the three in one process, with a journal                    running.py

A segment's frames follow from the source, the configuration and the plan alone: never from what was
done before, nor by whom. So a run that was never interrupted, one that was killed and went on, and
one on many machines give the same frames. Networks round differently on different processors,
though: for equal bits the machines must be of one kind.

Each segment starts some frames early with no memory of anything, and runs on some frames beyond its
end, so that whatever looks back or ahead has settled; only its own frames are written.
"""

from crsr_video.jobs.segments.joining import join
from crsr_video.jobs.segments.planning import Plan, Segment, plan
from crsr_video.jobs.segments.results import SegmentResult
from crsr_video.jobs.segments.running import Outcome, Workers, enhance_resumably
from crsr_video.jobs.segments.work import Worker, enhance_segment

__all__ = [
    "Outcome",
    "Plan",
    "Segment",
    "SegmentResult",
    "Worker",
    "Workers",
    "enhance_resumably",
    "enhance_segment",
    "join",
    "plan",
]
