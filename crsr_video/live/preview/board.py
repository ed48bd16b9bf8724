"""Where the newest picture and the newest figures hang, for whoever comes to look."""

import threading
import time
from dataclasses import dataclass

_STALE_SECONDS = 1.0
"""An older picture is only shown if no newer one comes."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Something that hangs on the board."""

    number: int
    """Grows with every new one."""
    data: bytes
    at: float
    """`time.monotonic` of when it was hung up."""
    split: int = 0
    """Of a picture: where in the data its second half begins."""


_NOTHING = Sheet(0, b"", 0.0)


class Board:
    """Shared by the thread that makes pictures and those that serve them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._picture = self._figures = _NOTHING
        self._waiting = 0
        self.ended = False
        """Nothing new will come."""

    @property
    def watched(self) -> bool:
        """Whether somebody waits for a picture at this moment; asked without a lock."""
        return self._waiting > 0

    def hang(self, before: bytes, after: bytes) -> None:
        """A new picture, in two halves that belong together."""
        with self._changed:
            self._picture = _next(self._picture, before + after, len(before))
            self._changed.notify_all()

    def tell(self, figures: bytes) -> None:
        """New figures."""
        with self._changed:
            self._figures = _next(self._figures, figures)
            self._changed.notify_all()

    def end(self) -> None:
        """Let everybody go who waits."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def picture(self, after: int, seconds: float) -> Sheet | None:
        """Wait so long for a picture newer than number `after`; None: there is none."""

        def fresh() -> bool:
            new = self._picture.number > after
            return self.ended or (new and time.monotonic() - self._picture.at < _STALE_SECONDS)

        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(fresh, seconds)
            finally:
                self._waiting -= 1
            return self._picture if self._picture.number > after else None

    def figures(self, after: int, seconds: float) -> Sheet | None:
        """Likewise for figures."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended or self._figures.number > after, seconds)
            return self._figures if self._figures.number > after else None


def _next(old: Sheet, data: bytes, split: int = 0) -> Sheet:
    return Sheet(old.number + 1, data, time.monotonic(), split)
