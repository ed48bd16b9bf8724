"""Ending a read from another thread, or at a set time, wherever it waits.

Reads of our own ask a `Halt` themselves. Where FFmpeg waits in a protocol of its own, it asks an
interrupt callback about ten times a second, and PyAV's compares the clock with its time-out. That
time-out cannot be changed during a call, so the clock is: while a call is guarded, PyAV's container
module has one that runs far ahead in a thread whose `Halt` is due. Should a later PyAV not look at
that clock, its own time-outs still end every call, only later.

The callback is C and drops exceptions. Those of signals, which Python handles in the main thread
wherever it is, are therefore kept until the call has returned.
"""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import av.container.core

_FAR = 1e12
"""Seconds; later than any clock shows."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):  # noqa: N818 - it is no error
    """Somebody asked for the end."""


class Halt:
    """Says when to give up waiting: at once after `stop`, else at `deadline`."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._far = _FAR
        self._kept: BaseException | None = None
        self.deadline = math.inf
        """Of `time.monotonic`; set by the thread that reads."""

    def stop(self) -> None:
        """End whatever waits; may be called by any thread, and more than once."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def due(self) -> bool:
        """Whether to give up now."""
        late = time.monotonic() >= self.deadline
        return late or self.stopped or self._kept is not None

    def keep(self, error: BaseException) -> None:
        """Give up because of an exception that cannot pass through FFmpeg.

        It is raised again where the block of `guarding` ends.
        """
        self._kept = error

    def wait(self, seconds: float) -> None:
        """Sleep. Raises: Stopped: `stop` was or is called."""
        if self._stopped.wait(max(seconds, 0)):
            raise Stopped

    def check(self) -> None:
        """Raises: Stopped: `stop` was called."""
        if self.stopped:
            raise Stopped

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Calls of PyAV in the block, made by this thread, end when this is due."""
        before = getattr(_THREAD, "halt", None)
        _THREAD.halt = self
        _use_clock(1)
        try:
            with self._keeping_signals():
                yield
        finally:
            _THREAD.halt = before
            _use_clock(-1)
            if self._kept is not None:
                kept, self._kept = self._kept, None
                raise kept

    @contextmanager
    def _keeping_signals(self) -> Iterator[None]:
        """Handlers that raise exceptions do so afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        before = {number: handler for number, handler in handlers.items() if callable(handler)}

        def handle(number: int, frame: FrameType | None) -> Any:
            try:
                return before[signal.Signals(number)](number, frame)
            except BaseException as error:
                self.keep(error)

        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def clock(self) -> float:
        """The time; of a halt that is due one that leaps on with every look."""
        if not self.due:
            return time.monotonic()
        self._far += _FAR
        return self._far


class _Clock:
    """What PyAV's container module then knows as the module `time`."""

    @staticmethod
    def monotonic() -> float:
        """The time as this thread is to see it."""
        halt: Halt | None = getattr(_THREAD, "halt", None)
        return time.monotonic() if halt is None else halt.clock()


_THREAD = threading.local()
_LOCK = threading.Lock()
_users = 0


def _use_clock(more: int) -> None:
    """Give PyAV that clock while anybody needs it."""
    global _users
    with _LOCK:
        _users += more
        av.container.core.time = _Clock if _users else time  # type: ignore[attr-defined]
