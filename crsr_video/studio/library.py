"""The files of the studio: those that the user named, and those that were uploaded."""

import hashlib
import json
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from crsr_video.errors import CrsrError
from crsr_video.files import write_file

VIDEOS = frozenset(
    [
        ".mp4",
        ".mov",
        ".m4v",
        ".mkv",
        ".webm",
        ".avi",
        ".ts",
        ".m2ts",
        ".mts",
        ".mpg",
        ".mpeg",
        ".mxf",
        ".flv",
        ".ogv",
        ".ogg",
        ".3gp",
        ".wmv",
        ".gif",
    ]
)
IMAGES = frozenset([".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"])
MAX_FILES = 5000
"""Maximum number of files of each folder that are listed."""
MAX_UPLOAD_BYTES = 64 << 30
_MAX_NAME = 200


class LibraryError(CrsrError):
    """A file cannot be opened, stored or chosen."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file that the page may open."""

    id: str
    name: str
    """Shown to the user; never used as a path."""
    path: Path
    kind: str
    """"video" or "image"."""
    uploaded: bool = False


class Library:
    """Finds files by ID, and stores uploads.

    Args:
        folders: Folders whose files may be opened, and into which results may be written.
        files: Single files that may be opened.
        work_folder: The studio's own folder, for uploads and their results.
    """

    def __init__(
        self, folders: tuple[Path, ...], files: tuple[Path, ...], work_folder: Path
    ) -> None:
        self._folders = tuple(folder.resolve() for folder in folders)
        self._files = tuple(file.resolve() for file in files)
        self._uploads = work_folder / "uploads"
        self.results_folder = work_folder / "results"
        self._uploads.mkdir(parents=True, exist_ok=True)
        self.results_folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._results: dict[str, Item] = {}
        self._known: dict[str, Item] = {}

    def items(self) -> list[Item]:
        """Return all files that may be opened: the user's by name, then the uploads by age."""
        found = [_item(path) for path in self._files if path.is_file()]
        for folder in self._folders:
            paths = (path for path in folder.rglob("*") if _is_offered(path, folder))
            for _, path in zip(range(MAX_FILES), paths, strict=False):
                found.append(_item(path, name=str(path.relative_to(folder))))
        found.sort(key=lambda item: item.name.casefold())
        known = {item.id: item for item in [*found, *self._uploaded()]}
        with self._lock:
            self._known = known
        return list(known.values())

    def item(self, item_id: str) -> Item:
        """Return one file.

        Raises:
            LibraryError: The file does not exist any more.
        """
        with self._lock:
            found = self._results.get(item_id) or self._known.get(item_id)
        if found is None:  # The file may be new in its folder.
            found = next((item for item in self.items() if item.id == item_id), None)
        if found is None or found.path.is_symlink() or not found.path.is_file():
            raise LibraryError("this file is not there any more")
        return found

    def add_result(self, path: Path) -> str:
        """Make a finished export available to the page, and return its ID."""
        item = _item(path.resolve())
        with self._lock:
            self._results[item.id] = item
        return item.id

    async def store(self, name: str, chunks: AsyncIterator[bytes]) -> Item:
        """Store an upload, which is listed only once it is complete.

        Args:
            name: The file's name on the user's machine. Only its extension is used in the path.
            chunks: Consecutive parts of the content.

        Raises:
            LibraryError: The file is not a video or image, is empty or too large, or cannot be
                written.
        """
        ending = Path(name).suffix.lower()
        if ending not in VIDEOS | IMAGES:
            raise LibraryError(f"{name}: this is not a video or image file")
        key = secrets.token_hex(8)
        temporary = self._uploads / f".{key}.part"
        received = 0
        try:
            with temporary.open("xb") as file:
                async for chunk in chunks:
                    received += len(chunk)
                    if received > MAX_UPLOAD_BYTES:
                        raise LibraryError(f"{name}: larger than {MAX_UPLOAD_BYTES >> 30} GiB")
                    file.write(chunk)
            if received == 0:
                raise LibraryError(f"{name}: the file is empty")
            path = self._uploads / f"{key}{ending}"
            temporary.rename(path)
        except OSError as error:
            raise LibraryError(f"{name} cannot be stored: {error.strerror}") from error
        finally:
            temporary.unlink(missing_ok=True)
        item = Item(_id(path), name[-_MAX_NAME:], path, _kind(path), uploaded=True)
        try:
            self._remember(key, item)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise LibraryError(f"{name} cannot be stored: {error.strerror}") from error
        return item

    def may_write(self, path: Path) -> bool:
        """Return whether a result may be written to a path.

        The path may lie, at any depth, in the user's folders, in the folders that hold the user's
        files, or in the folder of results.
        """
        parent = path.parent.resolve()
        allowed = (*self._folders, *(file.parent for file in self._files), self.results_folder)
        return any(parent == folder or folder in parent.parents for folder in allowed)

    def default_output(
        self, item: Item, suffix: str, is_taken: Callable[[Path], bool] = Path.exists
    ) -> Path:
        """Return an unused path for a result: beside the source, or in the folder of results."""
        stem = Path(item.name).stem
        folder = self.results_folder if item.uploaded else item.path.parent
        path = folder / f"{stem}.enhanced{suffix}"
        number = 1
        while is_taken(path):
            number += 1
            path = folder / f"{stem}.enhanced-{number}{suffix}"
        return path

    def _remember(self, key: str, item: Item) -> None:
        facts = {**asdict(item), "path": item.path.name}
        write_file(self._uploads / f"{key}.json", [json.dumps(facts).encode()])

    def _uploaded(self) -> list[Item]:
        found = []
        for note in sorted(self._uploads.glob("*.json"), key=lambda note: note.stat().st_mtime):
            try:
                facts = json.loads(note.read_text("utf-8"))
                path = self._uploads / Path(facts["path"]).name
                found.append(Item(facts["id"], facts["name"], path, facts["kind"], uploaded=True))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return [item for item in found if item.path.is_file()]


def _id(path: Path) -> str:
    return hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _kind(path: Path) -> str:
    return "image" if path.suffix.lower() in IMAGES else "video"


def _item(path: Path, name: str | None = None) -> Item:
    return Item(_id(path), name or path.name, path, _kind(path))


def _is_offered(path: Path, folder: Path) -> bool:
    inside = path.relative_to(folder)
    if any(part.startswith(".") for part in inside.parts) or path.is_symlink():
        return False
    return path.suffix.lower() in VIDEOS | IMAGES and path.is_file()
