"""A lock that goes with its process, however that ends."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from crsr_video.errors import OutputError

_NAME = "lock"


class FolderLock:
    """Holds a folder for one process at a time, by a lock on a file in it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / _NAME
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "FolderLock":
        """Take the lock; the folder is made if it is not there.

        Raises: OutputError: another process holds it. OSError.
        """
        while True:
            self._folder.mkdir(exist_ok=True)
            try:
                file = self._path.open("a+b")
            except FileNotFoundError:
                continue  # Its last holder has just removed the folder.
            if not _take(file):
                file.close()
                raise OutputError(f"{self._folder}: another run is at work there{self._whose()}")
            if self._is_current(file):
                break
            file.close()
        self._file = file
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove_folder(self) -> None:
        """Remove the folder, which must be empty but for the lock, and let go."""
        with suppress(OSError):
            if os.name == "nt":  # Open files cannot be removed there.
                self.__exit__(None, None, None)
            self._path.unlink(missing_ok=True)
            self._folder.rmdir()
        self.__exit__(None, None, None)

    def _is_current(self, file: IO[bytes]) -> bool:
        """Whether the file is still the one with that name."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        return False

    def _whose(self) -> str:
        with suppress(OSError, ValueError):
            return f" (process {int(self._path.read_bytes())})"
        return ""


def _take(file: IO[bytes]) -> bool:
    """Lock a file for as long as it is open; whether that could be done."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
