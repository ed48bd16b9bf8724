"""Tracks as a file: who is in a video, where and when; written once, reused by later runs.

Recording     what such a file holds, in numbers                    recording.py
Recorder      collects it from tracked frames                       recorder.py
write         to JSON, the same bytes for the same content          writing.py
read          from JSON, every field checked                        reading.py
check_video   that a file belongs to a video                        fingerprint.py
pictures      by which a frame is known again                       pictures.py

``format.md`` beside this describes the format.
"""

from crsr_video.track.tracks_file.fingerprint import check_video, facts
from crsr_video.track.tracks_file.reading import read
from crsr_video.track.tracks_file.recorder import Recorder
from crsr_video.track.tracks_file.recording import (
    FARTHEST,
    Person,
    Recording,
    Settings,
    TrackColumns,
    VideoFacts,
)
from crsr_video.track.tracks_file.writing import write, write_whole

__all__ = [
    "FARTHEST",
    "Person",
    "Recorder",
    "Recording",
    "Settings",
    "TrackColumns",
    "VideoFacts",
    "check_video",
    "facts",
    "read",
    "write",
    "write_whole",
]
