"""Where programs look for effects, and where this user's own go."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

SYSTEM = tuple(
    Path(f"{prefix}/frei0r-1")
    for prefix in ("/usr/local/lib", "/usr/lib", "/usr/local/lib64", "/usr/lib64")
)
"""Where FFmpeg looks after the user's own folder."""
EFFECT = "crsr.so"
"""The file's name everywhere, on macOS too: FFmpeg asks for no other."""


@dataclass(frozen=True, slots=True)
class Places:
    """Folders and files of one user; nothing of them need exist."""

    frei0r: Path
    """FFmpeg and MLT look here without being told."""
    kdenlive: Path
    """Of Kdenlive's effect descriptions."""
    shotcut: Path | None
    """Shotcut's own folder of filters: it looks nowhere else. None: there is no Shotcut that the
    user can write into."""
    manifest: Path
    """What was installed."""

    @property
    def effect(self) -> Path:
        """The effect."""
        return self.frei0r / EFFECT


def places(shotcut: Path | None = None) -> Places:
    """Those of this user.

    Args: shotcut: a folder that Shotcut was unpacked to.
    """
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    own = platformdirs.user_data_path("crsr-video")
    return Places(
        frei0r=Path.home() / ".frei0r-1" / "lib",
        kdenlive=Path(data) / "kdenlive" / "effects",
        shotcut=None if shotcut is None else _filters(shotcut),
        manifest=own / "plugin.json",
    )


def searched() -> tuple[Path, ...]:
    """Where FFmpeg looks for an effect, in its order."""
    named = os.environ.get("FREI0R_PATH", "")
    first = tuple(Path(part) for part in named.split(":") if part)
    return (*first, Path.home() / ".frei0r-1" / "lib", *SYSTEM)


def searched_by_mlt() -> tuple[Path, ...]:
    """Where MLT looks, in its order: only where it was told, if it was."""
    named = os.environ.get("MLT_FREI0R_PLUGIN_PATH") or os.environ.get("FREI0R_PATH") or ""
    if named:
        return tuple(Path(part) for part in named.split(":") if part)
    system = ("/usr/local/lib", "/opt/local/lib", "/usr/lib64", "/usr/lib")
    folders = tuple(Path(part) / "frei0r-1" for part in system)
    return (Path.home() / ".frei0r-1" / "lib", *folders)


def found_in(folders: tuple[Path, ...]) -> Path | None:
    """The effect that a program with this search path loads; None: none."""
    return next((f / EFFECT for f in folders if (f / EFFECT).is_file()), None)


def _filters(shotcut: Path) -> Path:
    """The folder of filters of an unpacked or installed Shotcut."""
    inside = ("share/shotcut/qml/filters", "Shotcut.app/share/shotcut/qml/filters", "qml/filters")
    found = (shotcut / part for part in inside if (shotcut / part).is_dir())
    return next(found, shotcut / inside[0])
