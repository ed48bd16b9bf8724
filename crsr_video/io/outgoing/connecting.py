"""Getting a wire to an address: within a time limit, and again after it broke."""

import socket
import threading
from collections.abc import Callable
from queue import Empty, Queue

from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.io.outgoing.address import Target
from crsr_video.io.outgoing.relaying import relay
from crsr_video.io.outgoing.sockets import TcpWire, datagrams
from crsr_video.io.outgoing.wire import Wire

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
"""Seconds between two tries."""


def connect(target: Target, seconds: float, stop: threading.Event) -> Wire:
    """A wire to an address.

    Args:   seconds: that it may take. stop: when set, it is given up soon.
    Raises: OutputError: nobody is there, or it never works, in one line.
    """
    try:
        with pyav.translated(OutputError, f"{target.name}: cannot be reached"):
            return _connect(target, seconds, stop)
    except OutputError as error:
        if isinstance(error.__cause__, socket.gaierror):
            host = target.parts.hostname
            raise OutputError(f"{target.name}: no such host: {host}") from error
        raise


def _connect(target: Target, seconds: float, stop: threading.Event) -> Wire:
    parts = target.parts
    host = parts.hostname or ""
    if target.kind == "udp":
        return datagrams(target)
    if target.kind == "tcp":
        assert parts.port is not None
        return TcpWire(host, parts.port, target.name, seconds, stop)
    if target.kind != "srt":  # Errors of the resolver come out clearer here.
        socket.getaddrinfo(host, None)
    wire = relay(target)
    try:
        if target.container != "rtsp":  # Which connects when it has seen the header.
            wire.connect(seconds, stop)
    except BaseException:
        wire.release()
        raise
    return wire


class Connection:
    """Tries to connect in a thread of its own, once or until it works.

    Args: wait: seconds before the first try; None: there is only one, at once.
          tell: is told why it does not work, when that changes.
    """

    def __init__(
        self,
        target: Target,
        seconds: float,
        *,
        wait: float | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._target, self._seconds, self._tell = target, seconds, tell
        self._stop = threading.Event()
        self._found: Queue[Wire | BaseException] = Queue(1)
        self.state = "connecting"
        """"connecting" or "waiting to reconnect"."""
        self.wait = wait or _FIRST_WAIT
        """Seconds before the next try."""
        self._again = wait is not None
        self._thread = threading.Thread(target=self._run, name="connect", daemon=True)
        self._thread.start()

    def result(self, seconds: float = 0.0) -> Wire | None:
        """The wire, once it is there.

        Args:   seconds: to wait for it.
        Raises: OutputError: the only try has failed.
        """
        try:
            found = self._found.get(timeout=seconds) if seconds else self._found.get_nowait()
        except Empty:
            return None
        self._thread.join()
        if isinstance(found, BaseException):
            raise found
        return found

    def stop(self) -> None:
        """Give up; a wire that comes too late is closed."""
        self._stop.set()
        self._thread.join(1.0)  # The resolver cannot be interrupted.
        try:
            found = self._found.get_nowait()
        except Empty:
            return
        if isinstance(found, Wire):
            found.release()

    def _run(self) -> None:
        said = ""
        while True:
            if self._again:
                self.state = "waiting to reconnect"
                if self._stop.wait(self.wait):
                    return
                self.wait = min(2 * self.wait, _LONGEST_WAIT)
            self.state = "connecting"
            try:
                wire = connect(self._target, self._seconds, self._stop)
            except BaseException as error:
                if not self._again or not isinstance(error, OutputError):
                    self._found.put(error)
                    return
                if str(error) != said:
                    said = str(error)
                    self._tell(said)
                continue
            self._found.put(wire)
            if self._stop.is_set():
                self.stop_late()
            return

    def stop_late(self) -> None:
        """Close a wire that nobody waits for any more."""
        try:
            found = self._found.get_nowait()
        except Empty:
            return
        if isinstance(found, Wire):
            found.release()
