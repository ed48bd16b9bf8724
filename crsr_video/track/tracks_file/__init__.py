"""A file that states who is in a video, where and when. It is written once and reused later.

    recording       the content of such a file, and how it is collected from tracked frames
    people          which tracks are the same person; merging and splitting people
    writing         to JSON; the same content gives the same bytes
    reading         from JSON; every field is checked
    json_document   the checks, for any JSON document with long lists
    fingerprint     whether a file belongs to a video
    signatures      how a frame is recognised by its picture

`docs/tracks-file.md` describes the format.
"""

from crsr_video.track.tracks_file.fingerprint import check_video, video_facts
from crsr_video.track.tracks_file.people import Person, merge_people, people_of, split_people
from crsr_video.track.tracks_file.reading import read
from crsr_video.track.tracks_file.recording import (
    FARTHEST,
    Recorder,
    Recording,
    TrackColumns,
    TrackingSettings,
    TrackSummary,
    VideoFacts,
)
from crsr_video.track.tracks_file.writing import write

__all__ = [
    "FARTHEST",
    "Person",
    "Recorder",
    "Recording",
    "TrackColumns",
    "TrackSummary",
    "TrackingSettings",
    "VideoFacts",
    "check_video",
    "merge_people",
    "people_of",
    "read",
    "split_people",
    "video_facts",
    "write",
]
