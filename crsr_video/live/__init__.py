"""Enhance live streams within a latency budget.

`run` moves frames from a source to an output through the same stages as for files, without
lookahead. When there is not enough time, less is done for each frame, see `quality_controller`.
When even that does not help, frames are dropped. The delay never grows.
"""

from crsr_video.live.run import run
from crsr_video.live.settings import Hooks, LiveSettings, LiveSummary
from crsr_video.live.statistics import LiveStatistics

__all__ = ["Hooks", "LiveSettings", "LiveStatistics", "LiveSummary", "run"]
