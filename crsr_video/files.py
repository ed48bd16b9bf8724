"""Files that appear under their names only when they are complete, checksums, and cache folders."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_dir


def cache_folder(name: str) -> Path:
    """Return the folder of one of the user's caches. It may not exist yet.

    The environment variable CRSR_VIDEO_CACHE moves the root of all of them.
    """
    root = os.environ.get("CRSR_VIDEO_CACHE") or user_cache_dir("crsr-video")
    return Path(root).expanduser() / name


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(
    path: Path, *, suffix: str | None = None, keep_existing: bool = False
) -> Iterator[Path]:
    """Yield a temporary path, and publish the file there as `path` when the block succeeds.

    The temporary file is removed when the block, or publishing, raises an exception.

    Args:
        path: Final name of the file.
        suffix: End of the temporary name, by default that of `path`.
        keep_existing: Never replace a file that has taken the final name meanwhile.

    Raises:
        OSError: The file cannot be published.
        FileExistsError: With `keep_existing`, the final name is taken.
    """
    temporary = temporary_name(path, suffix)
    try:
        yield temporary
        publish(temporary, path, keep_existing=keep_existing)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_file(path: Path, chunks: Iterable[bytes], *, keep_existing: bool = False) -> None:
    """Write a file so that no incomplete version of it ever appears under its name.

    An exception, also one that `chunks` raises, leaves nothing behind.

    Args:
        path: Final name of the file.
        chunks: Content, part by part.
        keep_existing: Never replace a file that has taken the final name meanwhile.

    Raises:
        OSError: The file cannot be written.
        FileExistsError: With `keep_existing`, the final name is taken.
    """
    with replacing(path, keep_existing=keep_existing) as temporary, temporary.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)


def temporary_name(path: Path, suffix: str | None = None) -> Path:
    """Return a new hidden name beside a file's own, such as ``.film.0f3c9a1e.part.mp4``."""
    ending = path.suffix if suffix is None else suffix
    return path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{ending}")


def publish(temporary: Path, path: Path, *, keep_existing: bool = False) -> None:
    """Give a complete file its name. A power failure leaves either the old file or the new one.

    Raises:
        OSError: The file cannot be renamed.
        FileExistsError: With `keep_existing`, the final name is taken.
    """
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    if keep_existing:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # The file system has no hard links.
            temporary.replace(path)
    else:
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
