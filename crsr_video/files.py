"""Files that appear under their names only when they are complete, and checksums of files."""

import hashlib
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def temporary_name(path: Path) -> Path:
    """Return a new hidden name beside a file's own, under which the file can grow."""
    return path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{path.suffix}")


def publish(temporary: Path, path: Path) -> None:
    """Give a complete file its name. A power failure leaves either the old file or the new one.

    Raises:
        OSError: The file cannot be renamed.
    """
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, on systems where a folder can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file so that no incomplete version of it ever appears under its name.

    An exception, also one that `chunks` raises, leaves nothing behind.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = temporary_name(path)
    try:
        with temporary.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
        publish(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
