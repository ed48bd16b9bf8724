"""Transport of messages and frames: the socket's path, connections, and shared memory."""

import array
import mmap
import os
import socket
import stat
import struct
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.errors import ProtocolError, ServerError
from crsr_video.server.protocol import HEADER, Buffer, Header, MessageKind, pack

fcntl: ModuleType | Any
try:
    import fcntl
except ImportError:  # Windows, where `socket_path` refuses every use of this module
    fcntl = None

Picture = NDArray[np.uint8]

_NAME = "server.sock"
_BACKLOG = 64
"""Maximum number of clients that wait to be accepted."""
_MAX_PATH = 107
"""Maximum length of a socket's path in bytes on Linux, without the final zero. It is 103 on macOS,
where `bind` reports a longer path."""

_SEALS = getattr(fcntl, "F_SEAL_SHRINK", 0x2) | getattr(fcntl, "F_SEAL_SEAL", 0x1)
_GET_SEALS = getattr(fcntl, "F_GET_SEALS", 1034)
_ADD_SEALS = getattr(fcntl, "F_ADD_SEALS", 1033)

_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_SIZE = 0, 1, 76
"""From macOS's <sys/un.h> and <sys/ucred.h>, where a version and the user ID come first."""

_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_ANCILLARY = socket.CMSG_SPACE(4) if hasattr(socket, "CMSG_SPACE") else 0


# The socket's place ------------------------------------------------------------------------------


def is_supported() -> bool:
    """Return whether this system has what the server and its clients need."""
    return fcntl is not None and hasattr(socket, "AF_UNIX")


def socket_path(given: str | Path | None = None) -> Path:
    """Return the path of the socket at which the server and the clients of this user meet.

    Args:
        given: An explicit path. Defaults to ``$CRSR_SOCKET``, then to ``crsr-video/server.sock`` in
            the user's runtime folder, then to ``crsr-video-UID/server.sock`` in the folder for
            temporary files. The folders of the two defaults are created.

    Raises:
        ServerError: The path is too long for a socket, the folder cannot be created, or this system
            lacks what the server needs.
    """
    if not is_supported():
        raise ServerError("the server for plug-ins needs Linux or macOS")
    chosen = given or os.environ.get("CRSR_SOCKET")
    path = Path(chosen).absolute() if chosen else _created(_default_folder()) / _NAME
    if len(os.fsencode(path)) > _MAX_PATH:
        raise ServerError(f"{path}: too long for a socket, which takes {_MAX_PATH} bytes")
    return path


def check_folder(folder: Path) -> None:
    """Check that nobody else can place files in the socket's folder.

    Raises:
        ServerError: The folder does not exist, or others have access to it.
    """
    if not _is_private(folder):
        raise ServerError(f"{folder}: must be yours and closed to others (mode 700)")


def _default_folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and _is_private(Path(runtime)):
        return Path(runtime) / "crsr-video"
    return Path(tempfile.gettempdir()) / f"crsr-video-{os.getuid()}"


def _is_private(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not stat.S_IMODE(found.st_mode) & 0o077
    )


def _created(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ServerError(f"{folder}: cannot be created: {error.strerror}") from error
    return folder


class ServerSocket(Closing):
    """The listening socket, held by one server at a time.

    Args:
        path: Where the socket is created. Its folder must be closed to others.

    Raises:
        ServerError: Another server uses the path, or the socket cannot be created.
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
                _remove_dead_socket(path)
                self.listener.bind(str(path))
                path.chmod(0o600)  # Until here, only the folder's mode keeps others out.
                self.listener.listen(_BACKLOG)
            except OSError as error:
                raise ServerError(f"{path}: cannot create a socket: {error.strerror}") from error
            self.listener.setblocking(False)
            stack.pop_all()

    def close(self) -> None:
        """Remove the socket, before the lock is released for the next server."""
        self.listener.close()
        if not self._lock.closed:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            self._lock.close()


def _remove_dead_socket(path: Path) -> None:
    """Remove the socket of a server that was killed."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ServerError(f"{path}: exists already, and is not a socket")
    path.unlink(missing_ok=True)


# Connections -------------------------------------------------------------------------------------


class MessageConnection(Closing):
    """One end of a connection, which sends and receives messages with time limits.

    Args:
        link: A connected stream socket, which is closed with this object.
        timeout_seconds: Time that the rest of a message may take once it has begun.
    """

    def __init__(self, link: socket.socket, timeout_seconds: float) -> None:
        self._link, self._timeout = link, timeout_seconds
        self._descriptors: list[int] = []

    def receive(self, wait_seconds: float | None) -> tuple[Header, bytes, list[int]] | None:
        """Return the next message: header, payload, and the file descriptors sent with it.

        Args:
            wait_seconds: Time until the message must begin. None waits without a limit.

        Returns:
            None if the other end has closed the connection.

        Raises:
            ProtocolError: The message is invalid.
            VersionError: The message is of another version of the protocol.
            TimeoutError: The message did not come in time.
            OSError: The connection is broken.
        """
        head = self._read(HEADER.size, wait_seconds)
        if head is None:
            return None
        header = Header.unpack(head)
        payload = self._read(header.length, self._timeout) if header.length else b""
        if payload is None:
            raise ProtocolError("a message was cut off")
        found, self._descriptors = self._descriptors, []
        return header, payload, found

    def send(
        self, kind: MessageKind, sequence: int, payload: bytes, *, descriptor: int = -1
    ) -> None:
        """Send a message, with a file descriptor if one is given.

        Raises:
            TimeoutError: The other end does not read.
            OSError: The connection is broken.
        """
        self._link.settimeout(self._timeout)
        data = pack(kind, sequence, payload)
        if descriptor >= 0:
            data = data[socket.send_fds(self._link, [data], [descriptor]) :]
        self._link.sendall(data)

    def shut_down(self) -> None:
        """End the connection from another thread. A thread in `receive` stops waiting at once."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def peer_uid(self) -> int:
        """Return the user ID of the process at the other end."""
        if hasattr(socket, "SO_PEERCRED"):
            size = struct.calcsize("3i")
            data = self._link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            return int(struct.unpack("3i", data)[1])
        data = self._link.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_SIZE)
        return int(struct.unpack_from("2I", data)[1])

    def close(self) -> None:
        """End the connection, and close the descriptors that `receive` has not returned."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []
        self._link.close()

    def _read(self, size: int, wait_seconds: float | None) -> bytes | None:
        """Return that many bytes, or None if the other end closed before the first one."""
        data = b""
        end = None if wait_seconds is None else time.monotonic() + wait_seconds
        while len(data) < size:
            self._link.settimeout(None if end is None else max(0.001, end - time.monotonic()))
            part, ancillary, flags, _ = self._link.recvmsg(size - len(data), _ANCILLARY, _CLOEXEC)
            self._descriptors += _descriptors_in(ancillary)
            if flags & socket.MSG_CTRUNC or len(self._descriptors) > 1:
                raise ProtocolError("more than one descriptor came with a message")
            if not part:
                if data:
                    raise ProtocolError("a message was cut off")
                return None
            if not data:  # From its first byte on, the rest of a message has a limit of its own.
                end = time.monotonic() + self._timeout
            data += part
        return data


def _descriptors_in(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors in the ancillary data of ``recvmsg``. The caller must close them."""
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


# Shared memory -----------------------------------------------------------------------------------


def _can_seal() -> bool:
    """Return whether this system has memory that can be sealed against shrinking."""
    return hasattr(os, "memfd_create")


class SharedFrame(Closing):
    """One frame in memory that two processes share.

    Args:
        descriptor: Memory that cannot shrink: on Linux, a memory file that is sealed against it.
            The caller still owns it.
        shape: Size of the frame.

    Raises:
        ServerError: The memory is too small, or could be shrunk while it is in use, which would
            kill the process that reads it.
    """

    def __init__(self, descriptor: int, shape: Buffer) -> None:
        try:
            is_sealed = not _can_seal() or fcntl.fcntl(descriptor, _GET_SEALS) & _SEALS == _SEALS
            size = os.fstat(descriptor).st_size
        except OSError as error:
            raise ServerError("frames must come in memory of memfd_create") from error
        if not is_sealed:
            raise ServerError("the memory of frames must be sealed against shrinking")
        if size < shape.size:
            raise ServerError(f"the memory has {size} bytes, but a frame has {shape.size}")
        try:
            self._map = mmap.mmap(descriptor, shape.size)
        except (OSError, ValueError) as error:
            raise ServerError("the memory of frames cannot be mapped") from error
        self.shape = shape
        flat = np.frombuffer(self._map, np.uint8)
        self.picture: Picture = flat.reshape(shape.height, shape.width, 4)
        """The frame: uint8 (H, W, 4) RGBA."""

    @classmethod
    def create(cls, shape: Buffer) -> "tuple[Self, int]":
        """Create memory for frames of a size, and return it with its descriptor.

        The caller sends the descriptor to the other process, and closes it.

        Raises:
            ServerError: Memory has run out.
        """
        descriptor = -1
        try:
            if _can_seal():
                descriptor = os.memfd_create("crsr-video", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                os.ftruncate(descriptor, shape.size)
                fcntl.fcntl(descriptor, _ADD_SEALS, _SEALS | getattr(fcntl, "F_SEAL_GROW", 0x4))
            else:  # A file without a name is the portable memory that has a descriptor.
                with tempfile.TemporaryFile() as file:
                    file.truncate(shape.size)
                    descriptor = os.dup(file.fileno())
            return cls(descriptor, shape), descriptor
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            raise ServerError(f"no memory for a frame: {error.strerror}") from error

    def close(self) -> None:
        """Unmap the memory, or let the last array that still refers to it do so."""
        self.picture = np.empty((0, 0, 4), np.uint8)
        with suppress(BufferError):
            self._map.close()
