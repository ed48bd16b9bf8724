"""Connect to network destinations within a timeout, and reconnect after a connection breaks.

Some protocols need a relay: a child process that speaks the protocol. PyAV's FFmpeg connects and
writes to RTMP and RTSP without a timeout, and holds the GIL while it connects. A child process, in
contrast, can be killed at any time. PyAV's FFmpeg does not support SRT, so the relay for SRT is an
ffmpeg program.
"""

import errno
import json
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, Queue

from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.io.destinations.address import Destination
from crsr_video.io.destinations.byte_streams import ByteStream, PipeStream, TcpStream, open_udp
from crsr_video.io.pace import FIRST_DELAY_SECONDS, next_delay
from crsr_video.io.sources.relay import find_ffmpeg

_EMPTY_PACKETS = (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 7
"""Null packets of MPEG-TS. The ffmpeg program connects only after it has received some data."""
_ENDING_SECONDS = 3.0
"""How long the child may take to end the connection properly."""
_POLL_SECONDS = 0.05
_SCRIPT = Path(__file__).with_name("relay_process.py")
_NEW_SESSION = sys.platform != "win32"
"""Whether the child runs in a session of its own, so that Ctrl+C does not reach it."""
_PASS_BYTES = (
    *("-hide_banner", "-nostdin", "-nostats", "-loglevel", "info"),
    *("-probesize", "32", "-analyzeduration", "0", "-fflags", "nobuffer"),
    *("-f", "data", "-raw_packet_size", "1316", "-blocksize", "1316", "-i", "pipe:0"),
    *("-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "data"),
)
"""Arguments with which the ffmpeg program passes on bytes unchanged."""


class RelayStream(ByteStream):
    """A stream into the standard input of a child process, which sends it to the network.

    Args:
        command: The child's command line.
        begin: Bytes that are sent to the child first.
        ready: Beginning of the line on standard error that reports a connection.
        name: Name for messages.
    """

    def __init__(self, command: Sequence[str], begin: bytes, ready: str, name: str) -> None:
        super().__init__(name)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=_NEW_SESSION,
        )
        assert self._process.stdin is not None
        self._pipe = PipeStream(self._process.stdin.fileno(), name)
        self._ready_line = ready
        self._is_ready = threading.Event()
        self._lines: deque[str] = deque(maxlen=20)
        self._listener = threading.Thread(target=self._listen, name="relay", daemon=True)
        self._listener.start()
        with suppress(OSError):  # `wait_until_connected` reports why the child ended.
            self._process.stdin.write(begin)

    def wait_until_connected(self, seconds: float, stop: threading.Event) -> None:
        """Wait until the child reports that it is connected.

        Raises:
            OSError: The child failed or did not connect in time, or `stop` was set.
        """
        end = time.monotonic() + seconds
        while not self._is_ready.wait(_POLL_SECONDS):
            if self._process.poll() is not None:
                raise self._failure()
            if stop.is_set():
                raise OSError(errno.ECANCELED, "cancelled")
            if time.monotonic() > end:
                raise TimeoutError(errno.ETIMEDOUT, f"no answer within {seconds:g} s")

    def send(self, view: memoryview) -> int:
        """Write some of the data, and return the number of bytes written."""
        try:
            return self._pipe.send(view)
        except BrokenPipeError as error:
            raise self._failure() from error

    def _failure(self) -> OSError:
        """Return an error with the last message of the child."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self._listener.join(1.0)
        message = next((line for line in reversed(self._lines) if line), "the connection broke")
        return ConnectionError(errno.EPIPE, message)

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode(errors="replace").strip()
            if text.startswith(self._ready_line):
                self._is_ready.set()
            elif not self._is_ready.is_set() or "rror" in text or text[:1].isupper():
                self._lines.append(text.rpartition("://")[2].partition(": ")[2] or text)

    def finish(self) -> None:
        """Let the child send the data that it still has, and end the connection."""
        self._pipe.release()
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_SECONDS)
        self.release()

    def _free(self) -> None:
        self._pipe.release()
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def open_relay(destination: Destination) -> RelayStream:
    """Start a child that speaks the destination's protocol. The child is not connected yet.

    Raises:
        OutputError: No program on this machine supports the protocol.
    """
    if destination.kind == "srt":
        program = find_ffmpeg("srt", "output")
        if program is None:
            raise OutputError(f"{destination.name}: SRT needs an ffmpeg program built with libsrt")
        command = [program, *_PASS_BYTES, _with_packet_size(destination.address)]
        return RelayStream(command, _EMPTY_PACKETS, "Output #0", destination.name)
    order: dict[str, object] = {"url": destination.address, "mode": "bytes", "options": {}}
    if destination.container == "rtsp":
        order |= {"mode": "rtsp", "options": {"rtsp_transport": "tcp"}}
    elif destination.container == "whip":
        order = _whip_order(destination)
    command = [sys.executable, "-P", str(_SCRIPT)]
    return RelayStream(command, json.dumps(order).encode() + b"\n", "ready", destination.name)


def _whip_order(destination: Destination) -> dict[str, object]:
    """Return the relay's order for a WHIP server. A user without a password is a bearer token.

    Raises:
        OutputError: The package that makes certificates is not installed.
    """
    if find_spec("cryptography") is None:
        raise OutputError(
            f'{destination.name}: WHIP needs cryptography: pip install "crsr-video[whip]"'
        )
    url, options = destination.url, {}
    address = destination.address.partition("+")[2]
    if url.username and url.password is None:
        options = {"authorization": url.username}
        address = address.replace(f"{url.username}@", "", 1)
    return {"url": address, "mode": "whip", "options": options}


def _with_packet_size(address: str) -> str:
    """Return an SRT address whose messages hold whole MPEG-TS packets."""
    if "pkt_size=" in address or "payload_size=" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}pkt_size=1316"


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
