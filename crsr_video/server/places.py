"""Where the server's socket lies, and that nobody else can get at it."""

import fcntl
import os
import socket
import stat
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from crsr_video.closing import Closing
from crsr_video.errors import ServerError

_NAME = "server.sock"
_WAITING = 64
"""Clients that may wait to be answered."""
_LONGEST = 107
"""Bytes of a socket's path on Linux, the closing zero apart; 103 on macOS, where bind tells."""


def socket_path(given: str | Path | None = None) -> Path:
    """The socket that server and clients of this user meet at.

    It is the one given, else ``$CRSR_SOCKET``, else ``crsr-video/server.sock`` in the runtime
    folder of the user, or ``crsr-video-UID/server.sock`` in the folder for temporary files. Those
    folders are made if they are not there.
    Raises: ServerError: the path is too long for a socket, or the folder cannot be made.
    """
    chosen = given or os.environ.get("CRSR_SOCKET")
    path = Path(chosen).absolute() if chosen else _made(_folder()) / _NAME
    if len(os.fsencode(path)) > _LONGEST:
        raise ServerError(f"{path}: too long for a socket, which takes {_LONGEST} bytes")
    return path


def _folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and private(Path(runtime)):
        return Path(runtime) / "crsr-video"
    return Path(tempfile.gettempdir()) / f"crsr-video-{os.getuid()}"


def private(folder: Path) -> bool:
    """Whether a folder is there, is ours, and is closed to everybody else."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not stat.S_IMODE(found.st_mode) & 0o077
    )


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ServerError(f"{folder}: cannot be made: {error.strerror}") from error
    return folder


def check_folder(folder: Path) -> None:
    """Raises: ServerError: a socket's folder is not there, or others could put things into it."""
    if not private(folder):
        raise ServerError(f"{folder}: must be yours and closed to others (mode 700)")


def _clear(path: Path) -> None:
    """Remove the socket of a server that was killed.

    Raises: ServerError: something else is there.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ServerError(f"{path}: is there already, and no socket")
    path.unlink(missing_ok=True)


class Place(Closing):
    """The socket, held by one server at a time.

    Raises: ServerError: another server is there, or it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        check_folder(path.parent)
        with ExitStack() as stack:
            try:
                handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
                self._lock: IO[bytes] = stack.enter_context(os.fdopen(handle, "r+b"))
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ServerError(f"{path}: another server is there already") from error
            except OSError as error:
                raise ServerError(f"{path}: cannot be used: {error.strerror}") from error
            self.listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            try:
                _clear(path)
                before = os.umask(0o177)
                try:
                    self.listener.bind(str(path))
                finally:
                    os.umask(before)
                self.listener.listen(_WAITING)
            except OSError as error:
                raise ServerError(
                    f"{path}: no socket can be made there: {error.strerror}"
                ) from error
            self.listener.setblocking(False)
            stack.pop_all()

    def close(self) -> None:
        """Remove the socket first, so that whoever comes next finds it gone or a new one."""
        self.listener.close()
        if not self._lock.closed:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            self._lock.close()
