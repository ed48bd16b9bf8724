"""Standard input and named pipes as files that FFmpeg reads.

Reading waits in short steps, so that a run can be stopped while the other end of the pipe does
nothing. FFmpeg calls `read` from C, which exceptions cannot cross. They are kept in `error`, and
`check` raises them later.
"""

import io
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crsr_video.errors import InputError
from crsr_video.io import pyav

INPUT = "standard input"
"""Name of standard input in messages."""

_POLL_MS = 100
"""Milliseconds to wait for data before checking whether reading should stop."""
_HEAD_BYTES, _TAIL_BYTES = 512, 12
"""Bytes from the beginning and the end of a stream that are kept."""
_PIPE_BYTES = 1 << 20
"""Requested size of the system's pipe buffer. A large buffer saves switches between processes."""
_LARGEST_READ = 1 << 20
_SILENCE_SECONDS = 0.5
"""Waits for data that are shorter than this do not count as silence."""
_STREAM_STARTS = (
    (b"nut/multimedia container\0", b"nut/multimedia container\0"),
    (b"YUV4MPEG2 ", b"YUV4MPEG2 "),
    (b"\0\0\0\x09\0\0\0\0", b"FLV\x01"),
    (b"\x42\x82\x88matroska", b"\x1a\x45\xdf\xa3"),
)
"""For NUT, Y4M, Flash Video and Matroska: a byte sequence that occurs only at the beginning of a
stream, and the first bytes of such a stream."""
_START_REACH = 64
"""Number of bytes at the beginning of a stream by which it can be recognised."""


def is_standard(path: str | Path | None) -> bool:
    """Return whether a path stands for standard input or output."""
    return path is not None and str(path) == "-"


def redirected_file() -> Path | None:
    """Return a path of the file that standard input was redirected from, as in ``< video.mp4``.

    Unlike a pipe, a file can be opened twice and read from any position.
    """
    with suppress(OSError):
        path = Path("/dev/stdin")
        if stat.S_ISREG(os.fstat(0).st_mode) and path.is_file():
            return path
    return None


class InputPipe:
    """A pipe that FFmpeg reads once and in order.

    Args:
        descriptor: File descriptor to read from; its owner closes it.
        name: Name of the pipe in messages.
        splits_streams: Whether to separate consecutive streams in the pipe. Reading then ends where
            the next stream begins, and `next_stream` continues with that one.

    Raises:
        InputError: The descriptor is a terminal, or is closed.
    """

    def __init__(
        self, descriptor: int = 0, name: str = INPUT, *, splits_streams: bool = False
    ) -> None:
        try:
            os.fstat(descriptor)
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {pyav.reason(error)}") from error
        if os.isatty(descriptor):
            raise InputError(f"{name} is a terminal: no video is piped in")
        self.name = name
        self._descriptor, self._splits = descriptor, splits_streams
        self._wait = _waiter(descriptor, select.POLLIN) if hasattr(select, "poll") else None
        self._ahead = b""
        self.is_exhausted = False
        """Whether the other end has closed the pipe."""
        self.error: BaseException | None = None
        """The exception that ended reading."""
        self.read_at = time.monotonic()
        """`time.monotonic` when the last bytes were read."""
        self.silent_seconds = 0.0
        """Total duration so far of the waits that lasted longer than `_SILENCE_SECONDS`."""
        self._waits_since: float | None = None
        self._start_stream()
        _set_binary(descriptor)
        enlarge_buffer(descriptor)

    def _start_stream(self) -> None:
        self._is_stopped = self._has_ended = False
        self._mark: tuple[bytes, bytes] | None = None
        self._recent = b""
        self.head = b""
        """The first bytes of the stream."""
        self.tail = b""
        """The last bytes of the stream that were read so far."""
        self.received = 0
        """Number of bytes of the stream that were read so far."""

    @property
    def has_next_stream(self) -> bool:
        """Whether another stream begins where this one ended."""
        return bool(self._ahead)

    def next_stream(self) -> None:
        """Continue with the stream that follows."""
        self._start_stream()

    @property
    def silence(self) -> float:
        """Seconds for which the reader has been waiting for data just now."""
        since = self._waits_since
        return 0.0 if since is None else time.monotonic() - since

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, or none at the end or after reading was stopped or failed."""
        if self._has_ended:
            return b""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            data = self._receive(size)
        self.head += data[: max(0, _HEAD_BYTES - len(self.head))]
        if self._splits:
            data = self._up_to_next_stream(data)
        self.tail = (self.tail + data[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        self.received += len(data)
        return data

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end, without consuming them."""
        while len(self._ahead) < size and (more := self._receive(size - len(self._ahead))):
            self._ahead += more
        return self._ahead[:size]

    def interrupt(self) -> None:
        """Make a read in any thread return within a moment, as if the pipe had ended."""
        self._is_stopped = True

    def check(self) -> None:
        """Raise the exception that ended reading, if any.

        Raises:
            InputError: The pipe cannot be read.
            BaseException: A signal handler raised it during a read.
        """
        if isinstance(self.error, (OSError, ValueError)):
            why = pyav.reason(self.error)
            raise InputError(f"{self.name}: cannot be read: {why}") from self.error
        if self.error is not None:
            raise self.error

    def _receive(self, size: int) -> bytes:
        self._waits_since = began = time.monotonic()
        try:
            while not self._is_stopped and self.error is None:
                if self._wait is None or self._wait():
                    data = os.read(self._descriptor, min(size, _LARGEST_READ))
                    self.is_exhausted = not data
                    self.read_at = time.monotonic()
                    return data
        except BaseException as error:
            # FFmpeg would discard any exception, including one raised by a signal handler.
            self.error = error
        finally:
            self._waits_since = None
            waited = time.monotonic() - began
            self.silent_seconds += waited if waited > _SILENCE_SECONDS else 0.0
        return b""

    def _up_to_next_stream(self, data: bytes) -> bytes:
        """Return the bytes before the next stream begins, and keep the rest for that stream."""
        if self._mark is None:
            if self.received < _HEAD_BYTES:
                starts = (pair for pair in _STREAM_STARTS if self.head.startswith(pair[1]))
                self._mark = next(starts, None)
            if self._mark is None:
                return data
        mark, first = self._mark
        recent, before = self._recent + data, len(self._recent)
        own = max(0, _START_REACH - (self.received - before))
        place = recent.find(mark, own)
        if place >= 0 and first != mark:
            place = recent.rfind(first, max(0, place - _START_REACH), place)
        self._recent = recent[-_START_REACH:]
        if place < 0:
            return data
        self._ahead, self._has_ended = recent[place:] + self._ahead, True
        return recent[before : max(place, before)]


class PipeWindow(io.RawIOBase):
    """A seekable file that shows the first bytes of a pipe.

    Args:
        input_pipe: The pipe. Its bytes are not consumed.
        most: Largest number of bytes to buffer. The file appears to end there.
    """

    def __init__(self, input_pipe: InputPipe, most: int) -> None:
        super().__init__()
        self._input_pipe, self._most, self._position = input_pipe, most, 0

    def seek(self, position: int, whence: int = 0) -> int:
        """Move to a position from the beginning."""
        assert whence == 0
        self._position = position
        return position

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the current position, or none if they exceed `most`."""
        if not 0 <= size <= self._most - self._position:
            return b""
        data = self._input_pipe.peek(self._position + size)[self._position :]
        self._position += len(data)
        return data


def _waiter(descriptor: int, event: int) -> Callable[[], bool]:
    """Return a function that waits a moment, and returns whether the descriptor is ready."""
    poll = select.poll()
    poll.register(descriptor, event)
    return lambda: bool(poll.poll(_POLL_MS))


def enlarge_buffer(descriptor: int) -> None:
    """Request a larger buffer for a pipe. Only Linux can do this, and up to the user's limit."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _set_binary(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(descriptor, os.O_BINARY)
