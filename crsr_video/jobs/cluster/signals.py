"""Ctrl-C and the like, kept back while Ray runs: it makes defects of what they raise."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
Handler = Callable[[int, FrameType | None], Any]


class DeferredSignals:
    """While it lasts, signals wait for `check`; only in the main thread, where they arrive."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._pending: int | None = None

    def __enter__(self) -> "DeferredSignals":
        if threading.current_thread() is threading.main_thread():
            for name in NAMES:
                number = getattr(signal, name, None)
                if number is not None and callable(signal.getsignal(number)):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Give signals back to whoever had them, and the one that waits."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Act on a signal that has come.

        Raises: what its handler does.
        """
        number, self._pending = self._pending, None
        if number is not None:
            self._before[number](number, None)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._pending = number
