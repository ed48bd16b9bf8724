"""Keep Ray's effects on this process temporary: signals, environment variables, standard output.

This is the only module that uses `ray._private`.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, Self

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_LOG = logging.getLogger(__name__)


class DeferredSignals:
    """Defers signals until `check` is called, as a context manager in the main thread.

    Ray turns exceptions that a signal handler raises inside its code into internal errors.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._pending: int | None = None

    def __enter__(self) -> Self:
        """Begin to defer signals."""
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name, None)
                if number is not None and callable(signal.getsignal(number)):
                    self._before[number] = signal.signal(number, self._defer)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Restore the signal handlers, and handle a deferred signal unless the block failed."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Call the handler of a deferred signal, if there is one."""
        number, self._pending = self._pending, None
        if number is not None:
            handler: Callable[[int, FrameType | None], Any] = self._before[number]
            handler(number, None)

    def _defer(self, number: int, _frame: FrameType | None) -> None:
        self._pending = number


@contextmanager
def sigterm_restored() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces when it starts and stops."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def environment_defaults(values: dict[str, str]) -> Iterator[None]:
    """While the block runs, set those environment variables that the user has not set."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@contextmanager
def worker_output_logged() -> Iterator[None]:
    """Log the messages of Ray's processes, which Ray would print on standard output.

    Ray has no public setting for this. If a version of Ray lacks the private function, nothing is
    changed, and the messages still appear on standard output.
    """
    try:
        worker: Any = import_module("ray._private.worker")
        printer = worker.print_to_stdstream
    except (ImportError, AttributeError):
        yield
        return

    def log(data: dict[str, Any], *_: Any, **__: Any) -> None:
        for line in data.get("lines", ()):
            _LOG.info("Ray: %s", line)

    worker.print_to_stdstream = log
    try:
        yield
    finally:
        worker.print_to_stdstream = printer
