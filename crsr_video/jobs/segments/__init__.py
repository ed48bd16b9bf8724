"""Enhancement of one video in segments, so that a run can be resumed or use many machines.

`plan` decides where segments begin, and looks only at the source to do so. A `SegmentWorker`
enhances segments, each into its own file. `join` puts their packets and all other streams into one
file. `enhance_resumably` does all of this in one process, with a journal.

The frames of a segment depend only on the source, the settings and the plan, and never on earlier
work or on other work of the machine. A run that was interrupted and resumed, and a run on many
machines, therefore produce the same frames as an uninterrupted run on one machine. Networks round
differently on different processors, so all machines must be of the same kind.

A worker begins some frames before each segment and continues for some frames after its end, so that
all stages that look back or ahead have settled. Only the frames of the segment itself are written.
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
