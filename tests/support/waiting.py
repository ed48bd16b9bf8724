"""Waiting for threads and processes, and a clock that moves only when it is told to."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition that another thread or process makes true, and fail if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still not true after {seconds:.0f} s"
        time.sleep(0.01)


class FakeClock:
    """Replaces the module `time` in a module that is tested."""

    def __init__(self) -> None:
        self._now = 1000.0

    def monotonic(self) -> float:
        """Return the current time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
