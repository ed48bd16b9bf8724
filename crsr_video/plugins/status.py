"""How the installation is doing."""

from dataclasses import dataclass
from pathlib import Path

from crsr_video import __version__
from crsr_video.errors import PluginError
from crsr_video.plugins import hosts, loading, manifest
from crsr_video.plugins.hosts import Host
from crsr_video.plugins.install import source_digest
from crsr_video.plugins.loading import Effect
from crsr_video.plugins.manifest import Manifest
from crsr_video.plugins.places import Places


@dataclass(frozen=True, slots=True)
class FileState:
    """One installed file."""

    path: Path
    state: str
    """"ok", "missing" or "changed"."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is installed, and whether it works."""

    package: str
    """Version of crsr-video that asks."""
    installed: str | None
    """Version of crsr-video that installed the effect; None: nothing is installed."""
    current: bool
    """The effect was compiled from the source that this crsr-video has."""
    command: str
    """What the effect starts its server with."""
    runnable: bool
    """That is still there."""
    files: tuple[FileState, ...]
    effect: Effect | None
    """What the effect says of itself; None: it does not load."""
    trouble: str
    """Why it does not load."""
    hosts: tuple[Host, ...]

    @property
    def works(self) -> bool:
        """Nothing is wanting."""
        whole = all(file.state == "ok" for file in self.files)
        return self.effect is not None and self.current and self.runnable and whole


def status(places: Places) -> Status:
    """Look.

    Raises: PluginError: the list of what was installed is damaged.
    """
    there = manifest.read(places.manifest)
    effect, trouble = _loaded(places.effect)
    command = there.command if there else ""
    return Status(
        package=__version__,
        installed=there.version if there else None,
        current=there is not None and there.source == source_digest(),
        command=command,
        runnable=bool(command) and Path(command).is_file(),
        files=_files(there),
        effect=effect,
        trouble=trouble,
        hosts=(hosts.ffmpeg(), hosts.melt()),
    )


def _loaded(path: Path) -> tuple[Effect | None, str]:
    if not path.exists():
        return None, f"{path}: is not there"
    try:
        return loading.load(path), ""
    except PluginError as error:
        return None, str(error)


def _files(there: Manifest | None) -> tuple[FileState, ...]:
    if there is None:
        return ()
    return tuple(FileState(path, _state(there, path)) for path in there.files)


def _state(there: Manifest, path: Path) -> str:
    if not path.exists():
        return "missing"
    return "changed" if there.changed(path) else "ok"
