"""Frames of a file, given out as if a camera sent them."""

import time
from fractions import Fraction

from crsr_video.io.incoming.halt import Halt


class Pace:
    """Waits until a frame is due, counted from the first one.

    Args: slack: seconds of delay from which on the count starts anew, as after a source that
          comes in pieces ran dry; None: never.
    """

    def __init__(self, halt: Halt, *, slack: float | None = None) -> None:
        self._halt, self._slack = halt, slack
        self._start: tuple[Fraction, float] | None = None

    def anew(self) -> None:
        """Count from the next frame."""
        self._start = None

    def wait(self, seconds: Fraction) -> None:
        """Sleep until the frame of this time is due.

        Raises: Stopped: the run is to end.
        """
        now = time.monotonic()
        if self._start is None:
            self._start = seconds, now
        due = self._start[1] + float(seconds - self._start[0])
        if due > now:
            self._halt.wait(due - now)
        elif self._slack is not None and now - due > self._slack:
            self._start = seconds, now
