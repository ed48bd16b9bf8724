"""The people of a file, as its tracks file groups them. The page merges and splits them in it."""

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from crsr_video.track import tracks_file
from crsr_video.track.tracks_file import Person


def read_groups(tracks: Path) -> tuple[Person, ...]:
    """Return the people of a tracks file, by number.

    Raises:
        TracksError: The tracks file is damaged.
    """
    return tracks_file.people_of(tracks_file.read(tracks))


def regroup(tracks: Path, action: str, chosen: Collection[int]) -> None:
    """Merge people of a tracks file into one, or split them into their tracks.

    Args:
        tracks: The tracks file, which is written again.
        action: "merge" or "split".
        chosen: Numbers of the people.

    Raises:
        TracksError: The tracks file is damaged, or cannot be written.
    """
    change = tracks_file.merge_people if action == "merge" else tracks_file.split_people
    tracks_file.write(change(tracks_file.read(tracks), chosen), tracks)


def facts(person: Person) -> dict[str, object]:
    """Return a person as JSON data."""
    return asdict(person) | {"thumbnail": person.thumbnail or ""}
