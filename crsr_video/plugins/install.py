"""Install the effect and the editors' descriptions of it, and remove exactly that again."""

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from crsr_video import __version__
from crsr_video.errors import PluginError
from crsr_video.plugins import compiler, manifest, sources
from crsr_video.plugins.manifest import Manifest
from crsr_video.plugins.places import Places

_PROGRAM = 0o755
_TEXT = 0o644


@dataclass(frozen=True, slots=True)
class Installed:
    """What `install` did."""

    files: tuple[Path, ...]
    """Everything that is in place now."""
    written: tuple[Path, ...]
    """Of those, what was not there before, or was other."""
    removed: tuple[Path, ...]
    """Files of an earlier installation that this one has not."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What `uninstall` did."""

    files: tuple[Path, ...]
    kept: tuple[Path, ...]
    """Files that were changed since, and so are somebody's own."""


def install(places: Places, *, command: Path, force: bool = False) -> Installed:
    """Compile and install, or bring up to date.

    Args:   command: the ``crsr-video`` that the effect starts its server with.
            force: replace files that are not ours, or were changed.
    Raises: PluginError: it does not compile here, or a file is in the way. Nothing has changed.
    """
    before = manifest.read(places.manifest)
    contents = _contents(places, command)
    digests = {path: manifest.digest(data) for path, data in contents.items()}
    if not force:
        _check(contents, digests, before)
    stale = {path: d for path, d in (before.files if before else {}).items() if path not in digests}
    made = before.folders if before else ()
    current = Manifest(
        version=__version__,
        command=str(command),
        source=source_digest(),
        files=digests | stale,
        folders=made,
    )
    written = [path for path in contents if manifest.digest_of(path) != digests[path]]
    try:
        folders = _make(path.parent for path in (places.manifest, *contents))
        current = replace(current, folders=tuple(dict.fromkeys((*made, *folders))))
        # The list first: whatever happens then, it names all that may be there.
        manifest.write(current, places.manifest)
        for path in written:
            mode = _PROGRAM if path == places.effect else _TEXT
            manifest.put(path, contents[path], mode=mode)
        removed = _remove(stale, current)
        manifest.write(replace(current, files=digests), places.manifest)
    except OSError as error:
        raise PluginError(f"{error.filename}: {error.strerror}") from error
    return Installed(tuple(contents), tuple(written), tuple(removed))


def uninstall(places: Places, *, force: bool = False) -> Removed:
    """Remove what `install` wrote, and folders that it made and nobody else has used.

    Args:   force: remove files that were changed since, too.
    Raises: PluginError: nothing is installed, or something cannot be removed.
    """
    there = manifest.read(places.manifest)
    if there is None:
        raise PluginError("the effect is not installed")
    kept = [path for path in there.files if there.changed(path) and not force]
    try:
        removed = _remove(path for path in there.files if path not in kept)
        places.manifest.unlink()
    except OSError as error:
        raise PluginError(f"{error.filename}: {error.strerror}") from error
    for folder in reversed(there.folders):
        with suppress(OSError):  # Not empty: it has become somebody else's too.
            folder.rmdir()
    return Removed(tuple(removed), tuple(kept))


def source_digest() -> str:
    """Of all that the effect is compiled from."""
    return manifest.digest(b"".join(path.read_bytes() for path in sources.effect()))


def _contents(places: Places, command: Path) -> dict[Path, bytes]:
    """Every file to install."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / places.effect.name
        compiler.build(sources.find(sources.EFFECT), built, command=command)
        contents = {places.effect: built.read_bytes()}
    contents[places.kdenlive / Path(sources.KDENLIVE).name] = _read(sources.KDENLIVE)
    if places.shotcut is not None:
        if not places.shotcut.is_dir():
            raise PluginError(f"{places.shotcut}: no such folder; is this where Shotcut is?")
        for name in sources.SHOTCUT:
            contents[places.shotcut / "crsr" / Path(name).name] = _read(name)
    return contents


def _read(name: str) -> bytes:
    return sources.find(name).read_bytes()


def _check(
    contents: Mapping[Path, bytes], digests: Mapping[Path, str], before: Manifest | None
) -> None:
    """Raises: PluginError: a file is in the way."""
    for path in contents:
        if not path.exists() or manifest.digest_of(path) == digests[path]:
            continue
        if before is None or path not in before.files:
            raise PluginError(f"{path}: is there already and not ours; --force replaces it")
        if before.changed(path):
            raise PluginError(f"{path}: was changed since it was installed; --force replaces it")


def _make(folders: Iterable[Path]) -> list[Path]:
    """Make folders; returns those that were not there, outermost first."""
    made: list[Path] = []
    for folder in folders:
        missing = [f for f in (folder, *folder.parents) if not f.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            made.append(each)
    return made


def _remove(files: Iterable[Path], only: Manifest | None = None) -> list[Path]:
    """Remove files that are there; with `only`, those that are as this installation left them."""
    removed = []
    for path in files:
        if not path.exists() or (only is not None and only.changed(path)):
            continue
        path.unlink()
        removed.append(path)
    return removed
