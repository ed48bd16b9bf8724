"""Atomic writing and safe opening of files, checksums, and cache folders."""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from platformdirs import user_cache_dir

from crsr_video.errors import CrsrError, OutputError


def cache_folder(name: str) -> Path:
    """Return the folder of one of the user's caches. It may not exist yet.

    The environment variable CRSR_VIDEO_CACHE sets the folder that contains all of them.
    """
    root = os.environ.get("CRSR_VIDEO_CACHE") or user_cache_dir("crsr-video")
    return Path(root).expanduser() / name


def open_regular(
    path: str | Path,
    flags: int = os.O_RDONLY,
    mode: int = 0o666,
    *,
    follow_links: bool = False,
    folder: int | None = None,
) -> FileIO:
    """Open a regular file in a place where others can create files, and never block.

    A symbolic link could lead to a file that must not be touched, so links are refused by default.
    Opening a named pipe or a device could block forever, so it is refused too. The returned file is
    unbuffered.

    Args:
        path: The file.
        flags: Flags of `os.open`.
        mode: Permissions of a new file.
        follow_links: Whether the name may be a symbolic link to a regular file.
        folder: Descriptor of the folder that a relative path starts from.

    Raises:
        OSError: The file cannot be opened, or is not a regular file.
    """
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow_links:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, mode, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return FileIO(handle, _FILE_MODES[flags & _ACCESS])
    except BaseException:
        os.close(handle)
        raise


_ACCESS = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
_FILE_MODES = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "r+"}


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a regular file in hexadecimal."""
    with open_regular(path, follow_links=True) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(
    path: Path, *, suffix: str | None = None, keep_existing: bool = False
) -> Iterator[Path]:
    """Yield a temporary path, and publish the file there as `path` when the block succeeds.

    The temporary file is removed when the block, or publishing, raises an exception.

    Args:
        path: Final name of the file.
        suffix: Suffix of the temporary name. Defaults to the suffix of `path`.
        keep_existing: Whether to raise an error instead of replacing an existing file.

    Raises:
        OSError: The file cannot be published.
        FileExistsError: `keep_existing` is set, and a file with the final name exists.
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

    If an exception is raised, including one from `chunks`, no new file is left behind.

    Args:
        path: Final name of the file.
        chunks: The parts of the content, in order.
        keep_existing: Whether to raise an error instead of replacing an existing file.

    Raises:
        OSError: The file cannot be written.
        FileExistsError: `keep_existing` is set, and a file with the final name exists.
    """
    with replacing(path, keep_existing=keep_existing) as temporary, temporary.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)


@contextmanager
def writing(path: str | Path, kind: type[CrsrError] = OutputError) -> Iterator[None]:
    """Turn an OSError of the block into an error that names the file and the reason.

    Args:
        path: The file that the block writes.
        kind: Class of the error that is raised.
    """
    try:
        yield
    except OSError as error:
        raise kind(f"{path}: cannot be written: {error.strerror or error}") from error


def temporary_name(path: Path, suffix: str | None = None) -> Path:
    """Return a new hidden path in the folder of a file, such as ``.film.0f3c9a1e.part.mp4``."""
    ending = path.suffix if suffix is None else suffix
    return path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.part{ending}")


def publish(temporary: Path, path: Path, *, keep_existing: bool = False) -> None:
    """Rename a complete temporary file to its final name.

    After a power failure, that name belongs either to the old file or to the complete new one.

    Raises:
        OSError: The file cannot be renamed.
        FileExistsError: `keep_existing` is set, and a file with the final name exists.
    """
    with open_regular(temporary) as file:
        os.fsync(file.fileno())
    if keep_existing:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # The file system has no hard links.
            if path.exists():
                raise FileExistsError(f"{path} exists") from None
            temporary.replace(path)
    else:
        temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names of a folder's files to disk, on systems where a folder can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
