"""The people of a file: tracks that belong to the same person, grouped, and regrouped by hand."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from crsr_video.files import write_file
from crsr_video.track import tracks_file


@dataclass(frozen=True, slots=True)
class Group:
    """One person, under the number that the page shows."""

    id: int
    tracks: tuple[int, ...]
    thumbnail: str = ""
    """``data:`` URL of a small picture."""
    first_seconds: float = 0.0
    last_seconds: float = 0.0
    frames: int = 0


def read_groups(tracks: Path, grouping: Path) -> tuple[Group, ...]:
    """Return the people of a tracks file, grouped as the user left them.

    Args:
        tracks: A tracks file.
        grouping: Where `write_grouping` stored the user's grouping, if it did.

    Raises:
        TracksError: The tracks file is damaged.
    """
    people = {person.id: person for person in tracks_file.read(tracks).people}
    grouped = _read_grouping(grouping, set(people)) or [(key,) for key in people]
    groups = []
    for members in grouped:
        best = max((people[key] for key in members), key=lambda person: person.frames)
        groups.append(
            Group(
                members[0],
                tuple(sorted(members)),
                best.thumbnail or "",
                min(people[key].first_seconds for key in members),
                max(people[key].last_seconds for key in members),
                sum(people[key].frames for key in members),
            )
        )
    return tuple(sorted(groups, key=lambda group: group.id))


def merged(groups: tuple[Group, ...], chosen: set[int]) -> list[tuple[int, ...]]:
    """Return the track IDs of each person after merging the chosen ones into one."""
    together = tuple(sorted(key for group in groups if group.id in chosen for key in group.tracks))
    return [*(group.tracks for group in groups if group.id not in chosen), together]


def split(groups: tuple[Group, ...], chosen: set[int]) -> list[tuple[int, ...]]:
    """Return the track IDs of each person after splitting the chosen ones into their tracks."""
    kept = [group.tracks for group in groups if group.id not in chosen]
    return kept + [(key,) for group in groups if group.id in chosen for key in group.tracks]


def write_grouping(path: Path, grouped: list[tuple[int, ...]]) -> None:
    """Store which tracks are the same person."""
    write_file(path, [json.dumps([sorted(members) for members in grouped if members]).encode()])


def facts(group: Group) -> dict[str, object]:
    """Return a group as JSON data."""
    return asdict(group)


def _read_grouping(path: Path, known: set[int]) -> list[tuple[int, ...]]:
    """Return a stored grouping that covers exactly the known IDs, or nothing."""
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
        found = [tuple(int(key) for key in members) for members in groups]
    except (OSError, ValueError, TypeError):
        return []
    ids = [key for members in found for key in members]
    return found if sorted(ids) == sorted(known) and all(found) else []
