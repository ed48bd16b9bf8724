"""Tracks as a file: who is in a video, where and when. Written once, reused by later runs.

    recording       the content of such a file, and how it is collected from tracked frames
    writing         to JSON; the same content gives the same bytes
    reading         from JSON; every field is checked
    json_document   the checks, for any JSON document with long lists
    fingerprint     whether a file belongs to a video
    signatures      how a frame is recognised by its picture

`docs/tracks-file.md` describes the format.
"""

from crsr_video.track.tracks_file.fingerprint import check_video, video_facts
from crsr_video.track.tracks_file.reading import read
from crsr_video.track.tracks_file.recording import (
    FARTHEST,
    Person,
    Recorder,
    Recording,
    TrackColumns,
    TrackingSettings,
    VideoFacts,
)
from crsr_video.track.tracks_file.writing import write

__all__ = [
    "FARTHEST",
    "Person",
    "Recorder",
    "Recording",
    "TrackColumns",
    "TrackingSettings",
    "VideoFacts",
    "check_video",
    "read",
    "video_facts",
    "write",
]
