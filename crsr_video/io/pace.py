"""Timing of files that are played at their own frame rate, and of attempts to reconnect."""

import threading
from collections.abc import Callable
from fractions import Fraction
from time import monotonic

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 10.0


def next_delay(seconds: float) -> float:
    """Return the delay before the attempt after the next one: twice as long, up to a limit."""
    return min(2 * seconds, LONGEST_DELAY_SECONDS)


class Pace:
    """Waits until frames of a file are due, as if a camera sent them.

    Args:
        stop: Event that ends every wait.
        slack: Seconds of delay after which the timing starts again from the current frame. This is
            for a source in pieces that can run dry. By default, the timing never starts again.
        clock: Function that returns the time in seconds.
    """

    def __init__(
        self,
        stop: threading.Event,
        *,
        slack: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._stop, self._slack, self._clock = stop, slack, clock
        self._start: tuple[Fraction, float] | None = None

    def wait(self, seconds: Fraction) -> bool:
        """Wait until the frame with this timestamp is due. Return False if the wait was stopped."""
        now = self._clock()
        if self._start is None:
            self._start = seconds, now
        due = self._start[1] + float(seconds - self._start[0])
        if due > now:
            return not self._stop.wait(due - now)
        if self._slack is not None and now - due > self._slack:
            self._start = seconds, now
        return True
