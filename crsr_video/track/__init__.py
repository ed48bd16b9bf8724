"""Track: find the faces of a video and follow them."""

from crsr_video.track.stats import TrackerStats
from crsr_video.track.tracker import Tracker

__all__ = ["Tracker", "TrackerStats"]
