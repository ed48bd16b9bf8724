"""One video in segments, for runs that can be resumed, and for runs on many machines.

`plan` decides where segments begin, from the source alone. A `SegmentWorker` enhances segments,
each into its own file. `join` puts their packets and all other streams into one file.
`enhance_resumably` does all of this in one process, with a journal.

The frames of a segment depend only on the source, the settings and the plan, never on earlier work
or on the machine's other work. A run that was interrupted and resumed, and a run on many machines,
therefore produce the same frames as an uninterrupted one. Networks round differently on different
processors, so all machines must be of the same kind.

Each segment starts with some warm-up frames and continues for some frames after its end, until all
stages that look back or ahead have settled. Only its own frames are written.
"""

from crsr_video.jobs.segments.joining import join
from crsr_video.jobs.segments.planning import Plan, Segment, plan
from crsr_video.jobs.segments.results import SegmentResult
from crsr_video.jobs.segments.resuming import Outcome, SegmentExecutor, enhance_resumably
from crsr_video.jobs.segments.worker import SegmentWorker

__all__ = [
    "Outcome",
    "Plan",
    "Segment",
    "SegmentExecutor",
    "SegmentResult",
    "SegmentWorker",
    "enhance_resumably",
    "join",
    "plan",
]
