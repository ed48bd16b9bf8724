"""Output streams of bytes: pipes, standard output, files, and UDP and TCP sockets.

A blocked write waits in short steps, so that another thread can cancel it. FFmpeg calls `write`
from C code, where exceptions such as KeyboardInterrupt are lost. `write` therefore stores them, and
`check` raises them later.
"""

import errno
import os
import select
import socket
import stat
import sys
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs

from crsr_video.errors import OutputError, ReaderGoneError
from crsr_video.io.destinations.address import STANDARD_OUTPUT, Destination
from crsr_video.io.pipes import enlarge_buffer

_POLL_SECONDS = 0.1
"""How long a blocked write waits before it checks whether it was cancelled."""


class ByteStream(ABC):
    """A stream to write bytes to, with the interface that PyAV expects of a file object.

    Attributes:
        patience: Seconds that one write may wait for a slow reader, or None for no limit.
        name: Name of the stream in messages.
    """

    patience: float | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self._cancelled = threading.Event()
        self._is_released = False
        self._interruption: BaseException | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Write all of the data.

        Raises:
            OSError: Writing failed or was cancelled, or the reader was too slow.
        """
        try:
            self._write_all(memoryview(data))
        except Exception:
            raise
        except BaseException as error:
            self._interruption = error
            raise OSError(errno.EINTR, "interrupted") from error
        return len(data)

    def _write_all(self, view: memoryview) -> None:
        since = time.monotonic()
        while view:
            if self._cancelled.is_set():
                raise OSError(errno.ECANCELED, "cancelled")
            sent = self.send(view)
            view = view[sent:]
            if sent:
                since = time.monotonic()
            elif self.patience is not None and time.monotonic() - since > self.patience:
                raise TimeoutError(errno.ETIMEDOUT, "the receiver stopped reading")

    def check(self) -> None:
        """Raise the exception that interrupted a write, such as KeyboardInterrupt, if any."""
        if self._interruption is not None:
            raise self._interruption

    def cancel(self) -> None:
        """Make any current or later write fail at once. May be called from any thread."""
        self._cancelled.set()

    @property
    def closed(self) -> bool:
        """Whether the stream accepts no more data. PyAV writes no trailer to a closed file."""
        return self._is_released or self._cancelled.is_set()

    def wait_until_connected(self, seconds: float, stop: threading.Event) -> None:
        """Wait until the receiver is connected. Most streams are connected from the start.

        Raises:
            OSError: There is no connection within `seconds`, or `stop` was set.
        """

    @abstractmethod
    def send(self, view: memoryview) -> int:
        """Write some of the data; if nothing can be written, wait for a moment and return 0."""

    def finish(self) -> None:
        """Deliver everything that was written, then free all resources."""
        self.release()

    def release(self) -> None:
        """Free all resources without notifying the other end. May be called twice."""
        if not self._is_released:
            self._is_released = True
            self._free()

    @abstractmethod
    def _free(self) -> None:
        """Free all resources."""


class FileStream(ByteStream):
    """A stream that writes a new file."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._file = path.open("wb", buffering=0)

    def send(self, view: memoryview) -> int:
        """Write some of the data."""
        return self._file.write(view) or 0

    def _free(self) -> None:
        self._file.close()


class PipeStream(ByteStream):
    """A stream to the pipe, socket or file of a file descriptor.

    The descriptor stays open. If the stream has to make it non-blocking, releasing the stream makes
    it blocking again.

    Args:
        number: The file descriptor. The stream opens a descriptor of its own for the same file.
        name: Name of the stream in messages.
    """

    def __init__(self, number: int, name: str) -> None:
        super().__init__(name)
        self._made_nonblocking: int | None = None
        self._number = self._open_again(number)
        self._poll = None
        if hasattr(select, "poll") and not os.get_blocking(self._number):
            self._poll = select.poll()
            self._poll.register(self._number, select.POLLOUT)
        enlarge_buffer(self._number)

    def _open_again(self, number: int) -> int:
        """Return a new descriptor for the same file, in non-blocking mode for a pipe or socket.

        Blocking mode belongs to the open file description, which other processes may share. Where
        the system allows it, a pipe is therefore opened again instead of being duplicated.
        """
        kind = os.fstat(number).st_mode
        if stat.S_ISFIFO(kind) and Path("/proc/self/fd").is_dir():
            with suppress(PermissionError):
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
                return os.open(f"/proc/self/fd/{number}", flags)
        twin = os.dup(number)
        if (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)) and os.name == "posix":
            if os.get_blocking(twin):
                self._made_nonblocking = number
            os.set_blocking(twin, False)
        return twin

    def send(self, view: memoryview) -> int:
        """Write some of the data."""
        try:
            return os.write(self._number, view)
        except BlockingIOError:
            if self._poll is not None:
                self._poll.poll(_POLL_SECONDS * 1e3)
            return 0

    def _free(self) -> None:
        os.close(self._number)
        if self._made_nonblocking is not None:
            with suppress(OSError):
                os.set_blocking(self._made_nonblocking, True)


class StandardOutput(PipeStream):
    """A stream to standard output. Until it is released, printed text goes to standard error.

    `write` raises ReaderGoneError when the reader has closed the pipe.

    Raises:
        OutputError: Standard output is a terminal, or is closed.
        ReaderGoneError: The reader has already closed the pipe.
    """

    def __init__(self) -> None:
        check_standard_output()
        try:
            self._original = os.dup(1)
        except OSError as error:
            raise OutputError(f"{STANDARD_OUTPUT} is closed") from error
        try:
            super().__init__(self._original, STANDARD_OUTPUT)
        except OSError as error:
            os.close(self._original)
            raise _reader_gone() from error
        self._redirect()

    def _redirect(self) -> None:
        _flush_prints()
        try:
            os.dup2(2, 1)
        except OSError:  # Standard error is closed too.
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 1)
        if sys.platform == "win32":
            import msvcrt

            msvcrt.setmode(self._number, os.O_BINARY)

    def send(self, view: memoryview) -> int:
        """Write some of the data."""
        try:
            return super().send(view)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _reader_gone() from error

    def _free(self) -> None:
        super()._free()
        _flush_prints()
        os.dup2(self._original, 1)
        os.close(self._original)


def check_standard_output() -> None:
    """Check that standard output is not a terminal, which cannot show a video.

    Raises:
        OutputError: Standard output is a terminal.
    """
    with suppress(OSError):
        if os.isatty(1):
            raise OutputError(
                f"{STANDARD_OUTPUT} is a terminal: pipe the video into a program, such as"
                " '| ffplay -'"
            )


def _reader_gone() -> ReaderGoneError:
    return ReaderGoneError(f"{STANDARD_OUTPUT} was closed by its reader")


def _flush_prints() -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()


_TS_PACKET = 188
_DATAGRAM = 7 * _TS_PACKET
"""Bytes per datagram: as many whole MPEG-TS packets as fit into an Ethernet frame."""
_SEND_BUFFER = 1 << 20
_TTL = 16
"""Number of routers that a multicast packet may cross. FFmpeg has the same default."""


class UdpStream(ByteStream):
    """MPEG-TS stream sent as UDP datagrams. Sending works even without a receiver."""

    def __init__(self, host: str, port: int, name: str, packet_size: int, ttl: int) -> None:
        super().__init__(name)
        self._size = packet_size
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            if family == socket.AF_INET:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            self._socket.connect(place)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def send(self, view: memoryview) -> int:
        """Send one datagram."""
        try:
            return self._socket.send(view[: self._size])
        except ConnectionRefusedError:  # There is no receiver at the moment.
            return min(len(view), self._size)
        except BlockingIOError:
            select.select([], [self._socket], [], _POLL_SECONDS)
            return 0

    def _free(self) -> None:
        self._socket.close()


class TcpStream(PipeStream):
    """A TCP connection.

    Args:
        host: Host name or IP address.
        port: Port of the host.
        name: Name of the destination in messages.
        seconds: Timeout for connecting to each of the host's addresses, in seconds.
    """

    def __init__(self, host: str, port: int, name: str, seconds: float) -> None:
        with socket.create_connection((host, port), seconds) as connected:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().__init__(connected.fileno(), name)


def open_udp(destination: Destination) -> UdpStream:
    """Open a UDP stream. "pkt_size" and "ttl" in the query of the URL work as in FFmpeg.

    Raises:
        OutputError: The query contains an unknown or invalid option.
    """
    url = destination.url
    options = {key: values[-1] for key, values in parse_qs(url.query).items()}
    unknown = ", ".join(sorted(options.keys() - {"pkt_size", "ttl"}))
    if unknown:
        raise OutputError(f"{destination.name}: no option {unknown}, only pkt_size and ttl")
    if not all(value.isdecimal() and int(value) > 0 for value in options.values()):
        raise OutputError(f"{destination.name}: pkt_size and ttl must be numbers above zero")
    assert url.hostname is not None and url.port is not None
    size, ttl = int(options.get("pkt_size", _DATAGRAM)), int(options.get("ttl", _TTL))
    return UdpStream(url.hostname, url.port, destination.name, size, ttl)
