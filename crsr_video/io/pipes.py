"""Standard input and standard output as ways for video.

Reading and writing wait in short steps, so that a run can be stopped while a neighbour in the pipe
does nothing. FFmpeg calls both from C, through which no exception passes whole: what goes wrong is
kept in `error`, and told to whoever asks next.
"""

import io
import os
import select
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final

from crsr_video.errors import InputError
from crsr_video.io import pyav

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

STANDARD: Final = Path("-")
"""Stands for standard input where a video is read, for standard output where one is written."""
INPUT = "standard input"
"""What it is called in messages."""

_POLL_MS = 100
"""How long either waits before it looks whether it should stop."""
_HEAD, _TAIL = 256, 12
"""Bytes from the beginning and from the end that are kept."""
_PIPE_BYTES = 1 << 20
"""Of the system's own buffer, as far as it lets itself be enlarged: fewer changes of process."""
_MOST = 1 << 20
"""Bytes that are read at once."""


def is_standard(path: str | Path | None) -> bool:
    """Whether a path stands for standard input or output."""
    return path is not None and str(path) == "-"


def redirected_file() -> Path | None:
    """A name for the file that standard input is, as in ``< video.mp4``; None: it is none.

    Files can be looked at twice and entered anywhere, which pipes cannot.
    """
    with suppress(OSError):
        name = Path("/dev/stdin")
        if stat.S_ISREG(os.fstat(0).st_mode) and name.is_file():
            return name
    return None


class Inlet:
    """Standard input for FFmpeg, which can only be read once and in order.

    Raises: InputError: it is a terminal.
    """

    name = INPUT

    def __init__(self, number: int = 0) -> None:
        if os.isatty(number):
            raise InputError(f"{INPUT} is a terminal: no video is piped in")
        self._number = number
        self._wait = _waiter(number, select.POLLIN) if hasattr(select, "poll") else None
        self._ahead = b""
        self._stopped = False
        self.head = b""
        """The first bytes."""
        self.tail = b""
        """The last bytes so far."""
        self.received = 0
        """Bytes so far."""
        self.error: BaseException | None = None
        """Why reading ended early."""
        _set_binary(number)
        _enlarge(number)

    def read(self, size: int) -> bytes:
        """Some bytes, up to `size`; none at the end, or once reading was stopped or failed."""
        if self._ahead:
            part, self._ahead = self._ahead[:size], self._ahead[size:]
            return part
        return self._more(size)

    def peek(self, size: int) -> bytes:
        """The next bytes, `size` of them unless the end comes first; they stay to be read."""
        while len(self._ahead) < size and (more := self._more(size - len(self._ahead))):
            self._ahead += more
        return self._ahead[:size]

    def interrupt(self) -> None:
        """Let the reader, in whatever thread it waits, find the end within a moment."""
        self._stopped = True

    def check(self) -> None:
        """Raises: InputError: reading failed. Whatever else has interrupted it."""
        if isinstance(self.error, (OSError, ValueError)):
            why = pyav.reason(self.error)
            raise InputError(f"{INPUT}: cannot be read: {why}") from self.error
        if self.error is not None:
            raise self.error

    def _more(self, size: int) -> bytes:
        try:
            while not self._stopped and self.error is None:
                if self._wait is None or self._wait():
                    data = os.read(self._number, min(size, _MOST))
                    self.head += data[: max(0, _HEAD - len(self.head))]
                    self.tail = (self.tail + data[-_TAIL:])[-_TAIL:]
                    self.received += len(data)
                    return data
        except BaseException as error:  # Also a signal's: FFmpeg would swallow it.
            self.error = error
        return b""


class Window(io.RawIOBase):
    """What waits in an inlet, as a file in which one can go back and forth.

    Args: most: bytes that it may hold; whatever lies behind seems to be missing.
    """

    def __init__(self, inlet: Inlet, most: int) -> None:
        super().__init__()
        self._inlet, self._most, self._at = inlet, most, 0

    def seek(self, at: int, whence: int = 0) -> int:
        """Go to a place, counted from the beginning."""
        assert whence == 0
        self._at = at
        return at

    def read(self, size: int = -1) -> bytes:
        """Bytes from there on."""
        if not 0 <= size <= self._most - self._at:
            return b""
        data = self._inlet.peek(self._at + size)[self._at :]
        self._at += len(data)
        return data


def _waiter(number: int, event: int) -> Callable[[], bool]:
    """A function that waits a moment, and says whether there is something to do."""
    poll = select.poll()
    poll.register(number, event)
    return lambda: bool(poll.poll(_POLL_MS))


def _enlarge(number: int) -> None:
    if fcntl is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # No pipe, or the user has too many.
            fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _set_binary(number: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(number, os.O_BINARY)
