"""A file that appears under its name only when it is whole."""

import glob
import os
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import IO

from crsr_video.errors import CrsrError, OutputError
from crsr_video.files import publish as publish
from crsr_video.files import temporary_name as temporary_name
from crsr_video.io import pyav
from crsr_video.io.lock import NameLock

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class OutputFile:
    """A file that grows under a hidden name beside its own.

    Args:   source: which it may not be; None: standard input.
            alone: nobody else may write it at the same time.
    Raises: OutputError: it may not or cannot be written, or another run is writing it.
    """

    def __init__(
        self, path: Path, source: Path | None, *, overwrite: bool, alone: bool = True
    ) -> None:
        check_output(path, source, overwrite)
        self._lock = NameLock(path)
        if alone:
            with pyav.translated(OutputError, f"{path}: cannot be written"):
                self._lock.take()
        try:
            self._begin(path, source, overwrite)
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, path: Path, source: Path | None, overwrite: bool) -> None:
        check_output(path, source, overwrite)  # Who held the lock may have finished it.
        remove_leftovers(path)
        self.temporary = temporary_name(path)
        """Its hidden name."""
        with pyav.translated(OutputError, f"{path}: cannot be written"):
            self._claim = claim(self.temporary)

    def check(self) -> None:
        """Raise why writing failed, if that is known better here than in FFmpeg; it is not."""

    def interrupt(self) -> None:
        """Do nothing: no file keeps anyone waiting for long."""

    def finish(self) -> None:
        """It has its name; others may have the folder."""
        self._let_go()

    def discard(self) -> None:
        """Leave nothing behind; may be called twice."""
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        if self._claim is not None:
            self._claim.close()
        self._lock.release()


def check_output(path: Path, source: Path | None, overwrite: bool) -> None:
    """See whether a result may and can be written.

    Args:   source: which it may not be; None: standard input.
    Raises: OutputError: it may not, or cannot.
    """
    try:
        if path.is_dir():
            raise OutputError(f"{path}: is a directory")
        if source is not None and path.exists() and path.samefile(source):
            raise OutputError(f"{path}: is the source itself")
        if os.path.lexists(path) and not overwrite:
            raise OutputError(f"{path}: exists already; --overwrite replaces it")
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent}: no such folder")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise OutputError(f"{path.parent}: may not be written to")
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: {pyav.reason(error)}") from error


def claim(temporary: Path) -> IO[bytes] | None:
    """Make a file and hold it: as long as it is open, `remove_leftovers` keeps away from it.

    Returns None where there is no such lock: Windows does not remove open files anyway.
    Raises:  OSError.
    """
    if fcntl is None:
        return None
    file = temporary.open("xb")
    with suppress(OSError):  # Not every file system has locks.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def remove_leftovers(path: Path) -> None:
    """Remove what runs that were killed have left of a file, but nothing that still grows."""
    begin, end = glob.escape(f".{path.stem[:40]}."), glob.escape(f".part{path.suffix}")
    with suppress(OSError, ValueError):
        for found in path.parent.glob(f"{begin}{'[0-9a-f]' * 8}{end}"):
            with suppress(OSError), found.open("rb") as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.unlink()


def clear_up(path: Path) -> None:
    """Remove whatever a run that was killed has left of a file, its lock included."""
    with suppress(CrsrError, OSError), NameLock(path):
        remove_leftovers(path)
