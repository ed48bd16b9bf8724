"""Live enhancement: a stream in, a stream out, under a latency contract.

`run` moves frames from a source to a sink through the same stages as offline, without lookahead.
When work does not fit into the time there is, less is done for each frame (see `effort`); when even
that does not fit, frames are left out. The delay never grows.
"""

from crsr_video.live.run import Hooks, LiveSummary, run
from crsr_video.live.settings import LiveSettings
from crsr_video.live.statistics import LiveStatistics

__all__ = [
    "Hooks",
    "LiveSettings",
    "LiveStatistics",
    "LiveSummary",
    "run",
]
