"""Two threads around the pipeline: one reads ahead, one writes behind, both on a short leash.

Queues are bounded, so memory is. An exception in a thread is raised again in the caller, and
leaving the context always joins the thread.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1
"""How long a blocked thread waits before it looks whether it should stop."""


class _End:
    """Marks the end of a queue."""


def _nothing() -> None:
    """What there is to do for threads that never wait for long."""


class ReadAhead(Generic[T]):
    """Iterate something in a thread of its own, at most `depth` items ahead.

    Args: interrupt: lets a source go on that waits for others, so that the thread can end.
    """

    def __init__(
        self, source: Iterable[T], depth: int, interrupt: Callable[[], None] = _nothing
    ) -> None:
        self._interrupt = interrupt
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(source,), name="read", daemon=True)

    def __enter__(self) -> "ReadAhead[T]":
        """Start reading."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop and join."""
        self._stop.set()
        self._interrupt()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        """Items in order, once; raises what the source raised."""
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if self._error is not None:
                    raise self._error
                return
            yield item

    def _run(self, source: Iterable[T]) -> None:
        try:
            for item in source:
                if not self._offer(item):
                    return
        except BaseException as error:
            self._error = error
        self._offer(_End())

    def _offer(self, item: T | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False


class WriteBehind(Generic[T]):
    """Hand items to a function in a thread of its own, at most `depth` items behind.

    Args: interrupt: lets the function go on where it waits for others, so that the thread can end.
    """

    def __init__(
        self, consume: Callable[[T], None], depth: int, interrupt: Callable[[], None] = _nothing
    ) -> None:
        self._interrupt = interrupt
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._consume = consume
        self._error: BaseException | None = None
        self._failed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)

    def __enter__(self) -> "WriteBehind[T]":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is queued (unless an exception is under way), join, raise what failed."""
        try:
            if kind is not None:
                self._give_up()
            self._offer(_End())
            self._thread.join()
        except BaseException:  # A signal, while the last items were being written.
            self._give_up()
            self._thread.join()
            raise
        if kind is None and self._error is not None:
            raise self._error

    def _give_up(self) -> None:
        self._failed.set()
        self._interrupt()

    def put(self, item: T) -> None:
        """Queue an item; waits while the queue is full.

        Raises: whatever the function raised for an earlier item.
        """
        if not self._offer(item) and self._error is not None:
            raise self._error

    def _run(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self._failed.is_set():
                    return
                continue
            if isinstance(item, _End) or self._failed.is_set():
                return
            try:
                self._consume(item)
            except BaseException as error:
                self._error = error
                self._failed.set()
                return

    def _offer(self, item: T | _End) -> bool:
        while not self._failed.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False
