"""Locks on the names of results, so that only one run at a time writes a file.

The filelock library is not used: it empties the lock file before it knows whether it is locked, so
it cannot tell who holds a lock.
"""

import errno
import os
import platform
import re
from contextlib import suppress
from io import FileIO
from pathlib import Path

from crsr_video.closing import Closing
from crsr_video.errors import OutputError
from crsr_video.files import open_regular

_LONGEST = 240
"""Maximum length of a file name, in bytes, that leaves room for the prefix and the suffix."""


class NameLock(Closing):
    """A lock on the name of a file, held through a hidden file beside it.

    The operating system releases the lock when the process that holds it dies. The next process
    then reuses the hidden file. On file systems without locks, nothing is locked.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, lock_name(path)
        self._file: FileIO | None = None

    def __enter__(self) -> "NameLock":
        """Take the lock; see `take`."""
        self.take()
        return self

    def take(self) -> None:
        """Take the lock.

        Raises:
            OutputError: Another run holds it.
        """
        while self._file is None:
            file = _opened(self._lock)
            if not _try_lock(file):
                holder = _holder(file)
                file.close()
                raise OutputError(f"{self._path}: another run is writing that file{holder}")
            if self._is_current(file):
                _check_only_name(file, self._lock)
                self._file = file
            else:
                file.close()  # Its last holder has just removed it.
        with suppress(OSError):  # On a full disk, the holder stays unknown.
            self._file.truncate(0)
            self._file.write(f"{os.getpid()} {platform.node()}".encode())

    def release(self) -> None:
        """Release the lock. Further calls do nothing."""
        file, self._file = self._file, None
        if file is None:
            return
        if os.name == "nt":  # Windows does not remove open files.
            file.close()
        with suppress(OSError):
            self._lock.unlink(missing_ok=True)
        file.close()

    def close(self) -> None:
        """Release the lock; see `release`."""
        self.release()

    def _is_current(self, file: FileIO) -> bool:
        """Return whether the name of the lock still refers to the open file."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(file.fileno()), self._lock.stat())
        return False


def lock_name(path: Path) -> Path:
    """Return the path of the hidden file through which a name is locked."""
    name = path.name
    while len(os.fsencode(name)) > _LONGEST:
        name = name[1:]
    return path.with_name(f".{name}.lock")


def _opened(path: Path) -> FileIO:
    """Open or create the file, without following a link to somebody else's file."""
    return open_regular(path, os.O_RDWR | os.O_CREAT)


def _check_only_name(file: FileIO, path: Path) -> None:
    """Close the file and raise OSError if it has another name, as it may be a file of the user."""
    if os.fstat(file.fileno()).st_nlink > 1:
        file.close()
        raise OSError(errno.EMLINK, f"{path.name} is also another file; remove it", str(path))


def _try_lock(file: FileIO) -> bool:
    """Lock a file for as long as it is open, and return whether that worked."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined] # Windows
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # Not every file system has locks.
        return True
    return True


def _holder(file: FileIO) -> str:
    """Return the holder of a lock in words, if it is known."""
    with suppress(OSError, ValueError):
        number, node = file.read(300).decode().split(" ", 1)
        if not re.fullmatch(r"[\w.-]+", node):
            return ""  # The text is printed, so only a valid machine name is accepted.
        where = "" if node == platform.node() else f" on {node}"
        return f" (process {int(number)}{where})"
    return ""
