"""Ways for bytes to leave the process, none of which can hold a thread for long.

A `write` waits for a slow reader in short steps, so that another thread can `cut` the wire.
"""

import errno
import os
import select
import stat
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

_POLL_SECONDS = 0.1
"""How long a blocked write waits before it looks whether it should stop."""


class Wire(ABC):
    """Something that takes bytes; also what PyAV sees as a file.

    `patience` is how many seconds one write may wait for the reader; None: for ever.
    """

    patience: float | None = None
    busy = False
    """A write is under way."""
    written = 0
    """Bytes that went out."""

    def __init__(self, name: str) -> None:
        self.name = name
        """For messages."""
        self._cut = threading.Event()
        self._released = False

    def write(self, data: bytes | memoryview) -> int:
        """Write all of it.

        Raises: OSError: it cannot be written, was cut, or the reader takes nothing for too long.
        """
        view, since = memoryview(data), time.monotonic()
        self.busy = True
        try:
            while view:
                if self._cut.is_set():
                    raise OSError(errno.ECANCELED, "given up")
                sent = self._send(view)
                self.written += sent
                view = view[sent:]
                if sent:
                    since = time.monotonic()
                elif self.patience is not None and time.monotonic() - since > self.patience:
                    raise TimeoutError(errno.ETIMEDOUT, "takes nothing any more")
        finally:
            self.busy = False
        return len(data)

    def cut(self) -> None:
        """Let any write, now or later, fail at once; from any thread."""
        self._cut.set()

    @property
    def closed(self) -> bool:
        """Whether it takes anything; PyAV writes no trailer to a closed file."""
        return self._released or self._cut.is_set()

    @abstractmethod
    def _send(self, view: memoryview) -> int:
        """Write some of it, and wait for a moment if nothing can be written.

        Raises: OSError.
        """

    def release(self) -> None:
        """Free what is held, without a word to the other end. May be called twice."""
        if not self._released:
            self._released = True
            self._free()

    @abstractmethod
    def _free(self) -> None:
        """Free what is held."""

    def finish(self) -> None:
        """Everything was written: let it arrive, and release."""
        self.release()


class PipeWire(Wire):
    """A pipe, or whatever else a descriptor may stand for.

    Args: number: of the descriptor; the wire opens one of its own, and leaves this one alone.
          room: bytes that the system should hold for a slow reader, as far as it likes.
    """

    def __init__(self, number: int, name: str, *, room: int = 0) -> None:
        super().__init__(name)
        self._restore: int | None = None
        self._number = self._own(number)
        self._poll = None
        if hasattr(select, "poll") and not os.get_blocking(self._number):
            self._poll = select.poll()
            self._poll.register(self._number, select.POLLOUT)
        _enlarge(self._number, room)

    def _own(self, number: int) -> int:
        """A descriptor that does not block, without making those of other programs so.

        Whether a pipe blocks belongs to its opening, which programs share; so it is opened anew.
        """
        kind = os.fstat(number).st_mode
        if stat.S_ISFIFO(kind) and Path("/proc/self/fd").is_dir():
            with suppress(PermissionError):
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
                return os.open(f"/proc/self/fd/{number}", flags)
        twin = os.dup(number)
        if (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)) and os.name == "posix":
            if os.get_blocking(twin):
                self._restore = number
            os.set_blocking(twin, False)
        return twin

    def _send(self, view: memoryview) -> int:
        try:
            return os.write(self._number, view)
        except BlockingIOError:
            if self._poll is not None:
                self._poll.poll(_POLL_SECONDS * 1e3)
            return 0

    def _free(self) -> None:
        os.close(self._number)
        if self._restore is not None:
            with suppress(OSError):
                os.set_blocking(self._restore, True)


class FileWire(Wire):
    """A new file.

    Raises: OSError.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._file = path.open("wb", buffering=0)

    def _send(self, view: memoryview) -> int:
        return self._file.write(view) or 0

    def _free(self) -> None:
        self._file.close()


def _enlarge(number: int, room: int) -> None:
    """Fewer changes between the two programs for every frame."""
    if room:
        with suppress(ImportError, AttributeError, OSError):
            import fcntl

            fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, min(room, 1 << 20))
