"""Add up how long the named parts of a loop take."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class Stopwatch:
    """Adds up the times of `with` blocks by name."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the time that a `with` block takes to the total of `name`."""
        begin = self._clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._clock() - begin

    def iterate(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items, and add the time that each takes to arrive to the total of `name`."""
        waiting, end = iter(items), object()
        while True:
            with self(name):
                item = next(waiting, end)
            if item is end:
                return
            yield item  # type: ignore[misc] # It is not `end`.
