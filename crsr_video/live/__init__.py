"""Enhance live streams within a latency budget.

`run` passes frames from a source to an output through the same stages as for files, but without
lookahead. If processing is too slow for the stream, `quality_controller` reduces the work per
frame. If that is not enough, frames are dropped, so that the delay never grows.
"""

from crsr_video.live.run import run
from crsr_video.live.settings import Hooks, LiveSettings, LiveSummary
from crsr_video.live.statistics import LiveStatistics

__all__ = ["Hooks", "LiveSettings", "LiveStatistics", "LiveSummary", "run"]
