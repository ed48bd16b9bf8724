"""The people of files: the search for them, and the tracks files in which it stores them."""

import filecmp
import threading
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from crsr_video.closing import Closing
from crsr_video.errors import ConfigError, OutputError
from crsr_video.files import write_file
from crsr_video.studio.command import CommandRun
from crsr_video.studio.events import Events
from crsr_video.studio.library import Item
from crsr_video.track import tracks_file
from crsr_video.track.tracks_file import Person


class PeopleSearch(Closing):
    """Searches files for people, one process per file, and keeps what was found.

    Args:
        folder: Folder of the tracks files.
        events: Receives the progress of searches as events named "people".
    """

    def __init__(self, folder: Path, events: Events) -> None:
        self._folder, self._events = folder, events
        self._lock = threading.Lock()
        self._searches: dict[str, CommandRun] = {}
        self._cancelled: set[str] = set()
        folder.mkdir(exist_ok=True)

    def tracks(self, item: Item) -> Path:
        """Return the path of the tracks of a file, which exists after a search."""
        stat = item.path.stat()
        return self._folder / f"{item.id}-{stat.st_size:x}-{stat.st_mtime_ns:x}.tracks.json"

    def people(self, item: Item) -> tuple[Person, ...]:
        """Return the people of a file, or nobody before a search."""
        tracks = self.tracks(item)
        return tracks_file.people_of(tracks_file.read(tracks)) if tracks.is_file() else ()

    def facts(self, item: Item) -> dict[str, Any]:
        """Return the people of a file, and the state of the search for them."""
        people = self.people(item)
        done = self.tracks(item).is_file()
        state = "running" if item.id in self._searches else "done" if done else "unknown"
        return {
            "state": state,
            "people": [asdict(person) | {"thumbnail": person.thumbnail or ""} for person in people],
        }

    def search(self, item: Item) -> None:
        """Search a file for people, in a process of its own."""
        if item.kind == "image":
            raise ConfigError("people are found in videos; this is a still picture")
        words = ["tracks", str(item.path), "-o", str(self.tracks(item)), "--overwrite"]
        with self._lock:
            if item.id in self._searches:
                return
            self._searches[item.id] = CommandRun(
                [*words, "--json"],
                on_event=lambda event: self._follow(item, event),
                on_end=lambda _, error: self._end(item, error),
            )

    def cancel(self, item: Item) -> None:
        """Stop the search of a file, if there is one."""
        with self._lock:
            search = self._searches.get(item.id)
            if search is not None:
                self._cancelled.add(item.id)
        if search is not None:
            search.stop()

    def regroup(self, item: Item, action: str, chosen: set[int]) -> None:
        """Merge people into one, or split them into their tracks."""
        unknown = chosen - {person.id for person in self.people(item)}
        if unknown:
            raise ConfigError(f"there is no person {min(unknown)} in this file")
        tracks = self.tracks(item)
        change = tracks_file.merge_people if action == "merge" else tracks_file.split_people
        tracks_file.write(change(tracks_file.read(tracks), chosen), tracks)

    def copy_beside(self, item: Item) -> tuple[Path, bool]:
        """Return where a copy of the tracks beside the file belongs, and whether it is there.

        A file with other content is never replaced: the copy gets another name.
        """
        tracks = self.tracks(item)
        for number in count(1):
            ending = "" if number == 1 else f"-{number}"
            path = item.path.with_name(f"{Path(item.name).stem}.tracks{ending}.json")
            if not path.exists():
                return path, False
            if filecmp.cmp(tracks, path, shallow=False):
                break
        return path, True

    def save_beside(self, item: Item) -> Path:
        """Save the tracks beside the file, and return the path of the copy."""
        if not self.tracks(item).is_file():
            raise ConfigError("find the people in this file first")
        path, exists = self.copy_beside(item)
        if not exists:
            try:
                write_file(path, [self.tracks(item).read_bytes()])
            except OSError as error:
                raise OutputError(f"{path} cannot be written: {error.strerror}") from error
        return path

    def close(self) -> None:
        """Stop all searches."""
        with self._lock:
            searches = list(self._searches.values())
        for search in searches:
            search.stop()
        for search in searches:
            search.wait()

    def _follow(self, item: Item, event: dict[str, Any]) -> None:
        if event.get("event") == "progress":
            share = event["frames"] / event["total"] if event.get("total") else 0.0
            facts = {"file": item.id, "state": "running", "progress": min(1.0, share)}
            self._events.publish("people", facts)

    def _end(self, item: Item, error: str) -> None:
        with self._lock:
            self._searches.pop(item.id, None)
            is_cancelled = item.id in self._cancelled
            self._cancelled.discard(item.id)
        state = "cancelled" if is_cancelled and error else "failed" if error else "done"
        facts = {"file": item.id, "state": state, "progress": 1.0, "error": error}
        self._events.publish("people", facts)
