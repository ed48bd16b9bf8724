"""The pace of files that are played as if a camera sent them."""

import threading
from collections.abc import Callable
from fractions import Fraction
from time import monotonic


class Pace:
    """Waits until frames of a file are due, as if a camera sent them.

    Args:
        stop: Ends every wait.
        slack: Seconds of delay after which the pace starts again, as for a source in pieces that
            ran dry. It never does by default.
        clock: Returns the time in seconds.
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
        """Wait until the frame of this time is due. Return False if the wait was stopped."""
        now = self._clock()
        if self._start is None:
            self._start = seconds, now
        due = self._start[1] + float(seconds - self._start[0])
        if due > now:
            return not self._stop.wait(due - now)
        if self._slack is not None and now - due > self._slack:
            self._start = seconds, now
        return True
