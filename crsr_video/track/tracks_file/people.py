"""The people of a tracks file. A person has one or more tracks, such as one before and after a cut.

Each track states the number of its person. `grouping` finds these numbers by likeness, and users
correct them with these functions or in the file:

    recording = tracks_file.read(path)
    tracks_file.people_of(recording)                        # persons 1, 2 and 5
    tracks_file.write(tracks_file.merge_people(recording, {1, 5}), path)
    tracks_file.write(tracks_file.split_people(recording, {1}), path)
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from crsr_video.track.tracks_file.recording import Recording, TrackSummary


@dataclass(frozen=True, slots=True)
class Person:
    """A summary of all tracks of one person."""

    id: int
    """The number by which users choose the person."""
    tracks: tuple[int, ...]
    first_seconds: float
    """Time of the first frame with the person."""
    last_seconds: float
    """Time of the last frame with the person."""
    frames: int
    """Number of faces of the person, summed over the tracks."""
    size: float
    """Mean of the median face widths of the tracks in pixels, weighted by their frames."""
    thumbnail: str | None
    """``data:`` address of the picture of the longest track that has one."""


def people_of(recording: Recording) -> tuple[Person, ...]:
    """Return the people of a recording, by number."""
    tracks: dict[int, list[TrackSummary]] = {}
    for track in recording.summaries:
        tracks.setdefault(track.person, []).append(track)
    return tuple(_person(number, tracks[number]) for number in sorted(tracks))


def merge_people(recording: Recording, numbers: Collection[int]) -> Recording:
    """Return a recording in which several people are merged, under the lowest of their numbers."""
    lowest = min(numbers, default=0)
    tracks = (track for track in recording.summaries if track.person in numbers)
    return renumber_people(recording, {track.id: lowest for track in tracks})


def split_people(recording: Recording, numbers: Collection[int]) -> Recording:
    """Return a recording in which each track of some people is a person of its own."""
    tracks = (track for track in recording.summaries if track.person in numbers)
    return renumber_people(recording, {track.id: track.id for track in tracks})


def renumber_people(recording: Recording, people: Mapping[int, int]) -> Recording:
    """Return a recording with new person numbers by track ID. Other tracks keep their numbers."""
    return replace(
        recording,
        summaries=tuple(
            replace(track, person=people.get(track.id, track.person))
            for track in recording.summaries
        ),
    )


def _person(number: int, tracks: list[TrackSummary]) -> Person:
    frames = sum(track.frames for track in tracks)
    with_pictures = [track for track in tracks if track.thumbnail]
    best = max(with_pictures, key=lambda track: track.frames, default=None)
    return Person(
        id=number,
        tracks=tuple(track.id for track in tracks),
        first_seconds=min(track.first_seconds for track in tracks),
        last_seconds=max(track.last_seconds for track in tracks),
        frames=frames,
        size=round(sum(track.size * track.frames for track in tracks) / frames, 1),
        thumbnail=best.thumbnail if best else None,
    )
