"""Result files that appear under their names only when they are complete, one writer at a time.

The names of results are locked, so that only one run at a time writes a file. The filelock library
is not used: it empties the lock file before it knows whether it is locked, so it cannot tell who
holds a lock.
"""

import errno
import glob
import os
import platform
import re
import shutil
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import ModuleType
from typing import IO

from crsr_video.closing import Closing
from crsr_video.errors import CrsrError, OutputError
from crsr_video.files import open_regular, publish, temporary_name
from crsr_video.io import pyav

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


fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class OutputFile:
    """A file that grows under a hidden name beside its own.

    Args:
        path: Final name of the file.
        source: File that must not be replaced, if any.
        overwrite: Whether an existing file may be replaced.
        exclusive: Whether other writers of the same file are locked out.
    """

    def __init__(
        self, path: Path, source: Path | None, *, overwrite: bool, exclusive: bool = True
    ) -> None:
        self.path = path
        self._is_published = False
        check_output(path, source, overwrite)
        self._lock = NameLock(path)
        if exclusive:
            with pyav.translated(OutputError, f"{path}: cannot be written"):
                self._lock.take()
        try:
            check_output(path, source, overwrite)  # The last lock holder may have made it.
            remove_leftovers(path)
            self.temporary = temporary_name(path)
            """The hidden name under which the file grows."""
            with pyav.translated(OutputError, f"{path}: cannot be written"):
                self._locked_file = _create_locked(self.temporary)
        except BaseException:
            self._lock.release()
            raise

    def publish(self) -> None:
        """Give the complete file its name."""
        with pyav.translated(OutputError, f"{self.path}: cannot be written"):
            publish(self.temporary, self.path)
        self._is_published = True

    def publish_copy(self, source: Path) -> None:
        """Replace what was written by the content of another file, and give the file its name."""
        with pyav.translated(OutputError, f"{self.path}: cannot be written"):
            shutil.copyfile(source, self.temporary)
        self.publish()

    def release(self) -> None:
        """Remove the file unless it was published, and unlock its name. May be called twice."""
        if not self._is_published:
            with suppress(OSError):
                self.temporary.unlink(missing_ok=True)
        if self._locked_file is not None:
            self._locked_file.close()
        self._lock.release()


def check_output(path: Path, source: Path | None, overwrite: bool) -> None:
    """Check whether a result may and can be written.

    Args:
        path: The result.
        source: File that must not be replaced, if any.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: The result may not or cannot be written.
    """
    try:
        if path.is_dir():
            raise OutputError(f"{path}: is a directory")
        if source is not None and path.exists() and path.samefile(source):
            raise OutputError(f"{path}: is the source itself: choose another name")
        if os.path.lexists(path) and not overwrite:
            raise OutputError(f"{path}: exists already; `overwrite` replaces it")
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent}: no such folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise OutputError(f"{path.parent}: may not be written to")
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: {pyav.reason(error)}") from error


def _create_locked(temporary: Path) -> IO[bytes] | None:
    """Create a file and lock it: while it is open, `remove_leftovers` does not touch it.

    There is no such lock on Windows, which does not remove open files anyway.
    """
    if fcntl is None:
        return None
    file = temporary.open("xb")
    with suppress(OSError):  # Not every file system has locks.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of killed runs, but none that is still being written."""
    begin, end = glob.escape(f".{path.stem[:40]}."), glob.escape(f".part{path.suffix}")
    with suppress(OSError, ValueError):
        for found in path.parent.glob(f"{begin}{'[0-9a-f]' * 8}{end}"):
            with suppress(OSError), open_regular(found) as file:
                if not _is_own(file):
                    continue
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.unlink()


def _is_own(file: FileIO) -> bool:
    """Return whether a file belongs to this user. All files do on Windows."""
    return not hasattr(os, "geteuid") or os.fstat(file.fileno()).st_uid == os.geteuid()


def remove_traces(path: Path) -> None:
    """Remove everything that a killed run has left of a file, including its lock."""
    with suppress(CrsrError, OSError), NameLock(path):
        remove_leftovers(path)
