"""Install or remove the effect and its descriptions for video editors, for one user."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs

from crsr_video import files
from crsr_video._version import __version__
from crsr_video.errors import PluginError
from crsr_video.plugins import frei0r
from crsr_video.records import from_json, to_json
from crsr_video.server.transport import is_supported

EFFECT_FILE = "crsr.so"
"""The file name on every system, including macOS, because FFmpeg looks only for this name."""
_MANIFEST_FORMAT = 1
_PROGRAM_MODE = 0o755
_TEXT_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Places:
    """Folders and files of one user. None of them needs to exist."""

    frei0r: Path
    """Folder in which FFmpeg and MLT look for effects by default."""
    kdenlive: Path
    """Kdenlive's folder of effect descriptions."""
    shotcut: Path | None
    """Shotcut's own folder of filters, the only one that it reads, or None if not requested."""
    manifest: Path

    @property
    def effect(self) -> Path:
        """The compiled effect."""
        return self.frei0r / EFFECT_FILE


def user_places(shotcut: Path | None = None) -> Places:
    """Return the places of the current user.

    Args:
        shotcut: The folder in which Shotcut is installed or unpacked.
    """
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Places(
        frei0r=user_effect_folder(),
        kdenlive=Path(data) / "kdenlive" / "effects",
        shotcut=None if shotcut is None else _shotcut_filters(shotcut),
        manifest=platformdirs.user_data_path("crsr-video") / "plugin.json",
    )


def user_effect_folder() -> Path:
    """Return the user's own folder of frei0r effects."""
    return Path.home() / ".frei0r-1" / "lib"


def _shotcut_filters(shotcut: Path) -> Path:
    inside = ("share/shotcut/qml/filters", "Shotcut.app/share/shotcut/qml/filters", "qml/filters")
    found = (shotcut / part for part in inside if (shotcut / part).is_dir())
    return next(found, shotcut / inside[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The installed files, each with its digest, so that they can be checked and removed."""

    version: str
    """Version of crsr-video that installed them."""
    command: str
    """The ``crsr-video`` program that the effect runs to start its server."""
    source: str
    """SHA-256 of everything that the effect was compiled from."""
    files: dict[Path, str] = field(default_factory=dict)
    """SHA-256 of each installed file, by path."""
    folders: tuple[Path, ...] = ()
    """Folders that were created for them, outermost first."""

    def is_changed(self, path: Path) -> bool:
        """Return whether a file exists and differs from the installed one."""
        return os.path.lexists(path) and _digest_of_file(path) != self.files.get(path)


def read_manifest(path: Path) -> Manifest | None:
    """Return the list of installed files, or None if nothing is installed.

    Raises:
        PluginError: The list is damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PluginError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        document = json.loads(data.decode("utf-8"))
        if document["format"] != _MANIFEST_FORMAT:
            raise ValueError("another format")
        return from_json(Manifest, document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PluginError(
            f"{path}: damaged: remove it, then run 'crsr-video plugin install --force'"
        ) from error


def _write_manifest(manifest: Manifest, path: Path) -> None:
    document = {"format": _MANIFEST_FORMAT, **to_json(manifest)}
    _put(path, (json.dumps(document, indent=2) + "\n").encode(), mode=_TEXT_MODE)


@dataclass(frozen=True, slots=True)
class InstallResult:
    """Result of `install`."""

    files: tuple[Path, ...]
    written: tuple[Path, ...]
    """The files among them that were missing or different before."""
    removed: tuple[Path, ...]
    """Removed files of an earlier installation that are no longer needed."""


@dataclass(frozen=True, slots=True)
class UninstallResult:
    """Result of `uninstall`."""

    files: tuple[Path, ...]
    kept: tuple[Path, ...]
    """Files that were not removed, because the user has changed them."""


def install(places: Places, *, command: Path, force: bool = False) -> InstallResult:
    """Compile and install the effect, or update it.

    Args:
        places: Where to install.
        command: The ``crsr-video`` program that the effect runs to start its server.
        force: Replace files that are not from crsr-video, or that were changed.

    Raises:
        PluginError: The effect cannot be compiled here, a file is in the way (in both cases,
            nothing has changed), or a file cannot be written.
    """
    if not is_supported():
        raise PluginError("the effect needs Linux or macOS")
    before = read_manifest(places.manifest)
    contents = _contents(places, command)
    digests = {path: _digest(data) for path, data in contents.items()}
    if not force:
        _check_existing(digests, before)
    old_files = before.files if before else {}
    stale = {path: digest for path, digest in old_files.items() if path not in digests}
    folders = before.folders if before else ()
    current = Manifest(
        version=__version__,
        command=str(command),
        source=source_digest(),
        files=digests | stale,
        folders=folders,
    )
    written = [path for path in contents if _digest_of_file(path) != digests[path]]
    try:
        created = _create_folders(path.parent for path in (places.manifest, *contents))
        current = replace(current, folders=tuple(dict.fromkeys((*folders, *created))))
        # Write the list first, so that it contains every file even if an error follows.
        _write_manifest(current, places.manifest)
        for path in written:
            mode = _PROGRAM_MODE if path == places.effect else _TEXT_MODE
            _put(path, contents[path], mode=mode)
        removed = _remove(path for path in stale if not current.is_changed(path))
        _write_manifest(replace(current, files=digests), places.manifest)
    except OSError as error:
        raise PluginError(f"{error.filename}: {error.strerror}") from error
    return InstallResult(tuple(contents), tuple(written), tuple(removed))


def uninstall(places: Places, *, force: bool = False) -> UninstallResult:
    """Remove the files that `install` wrote, and the folders that it created if they are empty.

    Args:
        places: Where to uninstall.
        force: Also remove files that were changed.

    Raises:
        PluginError: Nothing is installed, or something cannot be removed.
    """
    manifest = read_manifest(places.manifest)
    if manifest is None:
        raise PluginError("the effect is not installed")
    kept = [path for path in manifest.files if manifest.is_changed(path) and not force]
    try:
        removed = _remove(path for path in manifest.files if path not in kept)
        places.manifest.unlink()
    except OSError as error:
        raise PluginError(f"{error.filename}: {error.strerror}") from error
    for folder in reversed(manifest.folders):
        with suppress(OSError):  # It contains other files.
            folder.rmdir()
    return UninstallResult(tuple(removed), tuple(kept))


def source_digest() -> str:
    """Return the SHA-256 of everything that the effect is compiled from."""
    return _digest(b"".join(path.read_bytes() for path in frei0r.c_sources()))


def _contents(places: Places, command: Path) -> dict[Path, bytes]:
    """Return the content of every file to install."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / places.effect.name
        frei0r.build(frei0r.source_file(frei0r.EFFECT_SOURCE), built, command=command)
        contents = {places.effect: built.read_bytes()}
    description = frei0r.source_file(frei0r.KDENLIVE_DESCRIPTION)
    contents[places.kdenlive / description.name] = description.read_bytes()
    if places.shotcut is not None:
        if not places.shotcut.is_dir():
            raise PluginError(f"{places.shotcut}: no such folder: is Shotcut installed there?")
        for name in frei0r.SHOTCUT_DESCRIPTION:
            source = frei0r.source_file(name)
            contents[places.shotcut / "crsr" / source.name] = source.read_bytes()
    return contents


def _check_existing(digests: Mapping[Path, str], before: Manifest | None) -> None:
    """Raise a PluginError if a file is in the way."""
    for path, digest in digests.items():
        if not path.exists() or _digest_of_file(path) == digest:
            continue
        if before is None or path not in before.files:
            raise PluginError(f"{path}: exists and is not from crsr-video: --force replaces it")
        if before.is_changed(path):
            raise PluginError(f"{path}: was changed since it was installed: --force replaces it")


def _create_folders(folders: Iterable[Path]) -> list[Path]:
    """Create folders, and return those that did not exist, outermost first."""
    created: list[Path] = []
    for folder in folders:
        missing = [f for f in (folder, *folder.parents) if not f.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            created.append(each)
    return created


def _remove(paths: Iterable[Path]) -> list[Path]:
    """Remove the files that exist, and return them."""
    removed = []
    for path in paths:
        if path.exists():
            path.unlink()
            removed.append(path)
    return removed


def _put(path: Path, data: bytes, *, mode: int) -> None:
    """Replace a file atomically. A program that has loaded the old file keeps it."""
    # The temporary name does not end in ".so", because a program may be searching the folder.
    with files.replacing(path, suffix="") as temporary:
        temporary.write_bytes(data)
        temporary.chmod(mode)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_of_file(path: Path) -> str:
    """Return the digest of a file, or "unreadable" if it cannot be read."""
    try:
        return files.sha256_of_file(path)
    except OSError:
        return "unreadable"
