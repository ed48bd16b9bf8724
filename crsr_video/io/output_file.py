"""Result files that appear under their names only when they are complete, one writer at a time."""

import glob
import os
import shutil
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import ModuleType
from typing import IO

from crsr_video.errors import CrsrError, OutputError
from crsr_video.files import open_regular, publish, temporary_name
from crsr_video.io import pyav
from crsr_video.io.lock import NameLock

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
            raise OutputError(f"{path}: is the source itself")
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
