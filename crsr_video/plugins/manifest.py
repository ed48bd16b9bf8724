"""What was installed: every file with its hash, so that it can be found, judged and removed."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crsr_video.errors import PluginError
from crsr_video.files import replacing

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One installation."""

    version: str
    """Of crsr-video."""
    command: str
    """The crsr-video that the effect starts its server with."""
    source: str
    """SHA-256 of all that the effect was compiled from."""
    files: dict[Path, str] = field(default_factory=dict)
    """What was written, with its SHA-256."""
    folders: tuple[Path, ...] = ()
    """Folders that were made for it, outermost first."""

    def changed(self, path: Path) -> bool:
        """Whether a file is there, and not as it was installed."""
        return os.path.lexists(path) and digest_of(path) != self.files.get(path)


def read(path: Path) -> Manifest | None:
    """What was installed; None: nothing.

    Raises: PluginError: the list is damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PluginError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return _manifest(json.loads(data.decode("utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PluginError(
            f"{path}: is damaged; remove it, and install the effect with --force"
        ) from error


def _manifest(document: Any) -> Manifest:
    if document["format"] != _FORMAT:
        raise ValueError("another format")
    return Manifest(
        version=str(document["version"]),
        command=str(document["command"]),
        source=str(document["source"]),
        files={Path(name): str(digest) for name, digest in document["files"].items()},
        folders=tuple(Path(name) for name in document["folders"]),
    )


def write(manifest: Manifest, path: Path) -> None:
    """Replace the list.

    Raises: OSError.
    """
    document = {
        "format": _FORMAT,
        "version": manifest.version,
        "command": manifest.command,
        "source": manifest.source,
        "files": {str(name): digest for name, digest in manifest.files.items()},
        "folders": [str(name) for name in manifest.folders],
    }
    put(path, (json.dumps(document, indent=2) + "\n").encode(), mode=0o644)


def put(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file that nobody ever sees half; a program that has loaded the old one keeps it.

    Raises: OSError.
    """
    # Not "*.so": a program may be looking through the folder just now.
    with replacing(path, suffix="") as temporary:
        temporary.write_bytes(data)
        temporary.chmod(mode)


def digest(data: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(path: Path) -> str:
    """Of a file; of one that cannot be read, nothing that a file could have."""
    try:
        return digest(path.read_bytes())
    except OSError:
        return "unreadable"
