"""Connect to network destinations within a timeout, and reconnect after a connection breaks."""

import socket
import threading
from collections.abc import Callable
from queue import Empty, Queue

from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.io.destinations.address import Destination
from crsr_video.io.destinations.byte_streams import ByteStream
from crsr_video.io.destinations.relay import open_relay
from crsr_video.io.destinations.sockets import TcpStream, open_udp
from crsr_video.io.pace import FIRST_DELAY_SECONDS, next_delay


class Connector:
    """Connects to a destination in a thread of its own.

    Args:
        destination: A network address.
        seconds: Timeout of one attempt.
        retry_delay: Seconds before the first attempt, which is repeated until one succeeds. If this
            is None, there is a single attempt, at once.
        on_event: Called with the error message of a failure if it differs from the previous one.
    """

    def __init__(
        self,
        destination: Destination,
        seconds: float,
        *,
        retry_delay: float | None = None,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._destination, self._seconds, self._on_event = destination, seconds, on_event
        self._stop = threading.Event()
        self._result: Queue[ByteStream | BaseException] = Queue(1)
        self.state = "connecting"
        """Current activity: "connecting" or "waiting to reconnect"."""
        self.delay = retry_delay or FIRST_DELAY_SECONDS
        """Seconds before the next attempt."""
        self._retries = retry_delay is not None
        self._thread = threading.Thread(target=self._run, name="connect", daemon=True)
        self._thread.start()

    def result(self, seconds: float = 0.0) -> ByteStream | None:
        """Return the connected stream, or None if there is no connection yet.

        Args:
            seconds: Maximum time to wait for the connection.

        Raises:
            OutputError: The only attempt failed.
        """
        try:
            result = self._result.get(timeout=seconds) if seconds else self._result.get_nowait()
        except Empty:
            return None
        self._thread.join()
        if isinstance(result, BaseException):
            raise result
        return result

    def stop(self) -> None:
        """Stop trying. A connection that is made too late is closed."""
        self._stop.set()
        self._thread.join(1.0)  # Looking up a host name cannot be interrupted.
        self._release_result()

    def _run(self) -> None:
        last_reason = ""
        while True:
            if self._retries:
                self.state = "waiting to reconnect"
                if self._stop.wait(self.delay):
                    return
                self.delay = next_delay(self.delay)
            self.state = "connecting"
            try:
                stream = _connect(self._destination, self._seconds, self._stop)
            except BaseException as error:
                if not self._retries or not isinstance(error, OutputError):
                    self._result.put(error)
                    return
                if str(error) != last_reason:
                    last_reason = str(error)
                    self._on_event(last_reason)
                continue
            self._result.put(stream)
            if self._stop.is_set():
                self._release_result()
            return

    def _release_result(self) -> None:
        try:
            result = self._result.get_nowait()
        except Empty:
            return
        if isinstance(result, ByteStream):
            result.release()


def _connect(destination: Destination, seconds: float, stop: threading.Event) -> ByteStream:
    """Return a connected stream."""
    try:
        with pyav.translated(OutputError, f"{destination.name}: cannot be reached"):
            return _open(destination, seconds, stop)
    except OutputError as error:
        if isinstance(error.__cause__, socket.gaierror):
            host = destination.url.hostname
            raise OutputError(f"{destination.name}: no such host: {host}") from error
        raise


def _open(destination: Destination, seconds: float, stop: threading.Event) -> ByteStream:
    url = destination.url
    host = url.hostname or ""
    if destination.kind == "udp":
        return open_udp(destination)
    if destination.kind == "tcp":
        assert url.port is not None
        return TcpStream(host, url.port, destination.name, seconds)
    if destination.kind != "srt":  # The resolver's own errors are clearer than FFmpeg's.
        socket.getaddrinfo(host, None)
    stream = open_relay(destination)
    try:
        if not destination.is_written_by_relay:
            stream.wait_until_connected(seconds, stop)
    except BaseException:
        stream.release()
        raise
    return stream
