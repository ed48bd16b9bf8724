"""One run at a time for each name: a lock that goes with its process, however that ends."""

import os
import platform
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from crsr_video.errors import OutputError

_LONGEST = 240
"""Bytes of a name that leave room for what is put around it."""


class NameLock:
    """Holds the name of a result, by a lock on a hidden file beside it.

    Whoever dies lets go, and the next one takes the file over. Where a file system has no locks,
    nobody is kept away.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, lock_name(path)
        self._file: BinaryIO | None = None

    def __enter__(self) -> "NameLock":
        """As `take`."""
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """As `release`."""
        self.release()

    def take(self) -> None:
        """Hold the name.

        Raises: OutputError: another run holds it. OSError.
        """
        while self._file is None:
            file = _opened(self._lock)
            if not _take(file):
                whose = _whose(file)
                file.close()
                raise OutputError(f"{self._path}: another run is writing that file{whose}")
            if self._is_current(file):
                self._file = file
            else:
                file.close()  # Its last holder has just removed it.
        with suppress(OSError):  # The disk may be full: then nobody is told who we are.
            self._file.truncate(0)
            self._file.write(f"{os.getpid()} {platform.node()}".encode())

    def release(self) -> None:
        """Let go; may be called twice."""
        file, self._file = self._file, None
        if file is None:
            return
        if os.name == "nt":  # Open files cannot be removed there.
            file.close()
        with suppress(OSError):
            self._lock.unlink(missing_ok=True)
        file.close()

    def _is_current(self, file: BinaryIO) -> bool:
        """Whether the file is still the one with that name."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(file.fileno()), self._lock.stat())
        return False


def lock_name(path: Path) -> Path:
    """The hidden file that stands for a name."""
    name = path.name
    while len(os.fsencode(name)) > _LONGEST:
        name = name[1:]
    return path.with_name(f".{name}.lock")


def _opened(path: Path) -> BinaryIO:
    """Open the file, or make it; a link to somebody else's file is not followed.

    Raises: OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)


def _take(file: BinaryIO) -> bool:
    """Lock a file for as long as it is open; whether nobody else has."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
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


def _whose(file: BinaryIO) -> str:
    """Who holds a lock, in words, if it says so."""
    with suppress(OSError, ValueError):
        number, node = file.read(300).decode().split(" ", 1)
        where = "" if node == platform.node() else f" on {node}"
        return f" (process {int(number)}{where})"
    return ""
