"""Say what is stuck, and since when."""

import time
from collections.abc import Callable

_PATIENCE = 5.0
"""Seconds in one and the same act before anybody is told."""


class Post:
    """What one thread is doing: it reports in, the watchdog reads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.act = ""
        """In words; empty: waiting for work, which is never stuck."""
        self.since = time.monotonic()
        self.busy = 0.0
        """Seconds of work so far."""

    def begin(self, act: str) -> None:
        """Work begins."""
        self.since = time.monotonic()
        self.act = act

    def end(self) -> float:
        """Work is done; returns the seconds it took."""
        seconds = time.monotonic() - self.since
        self.act = ""
        self.busy += seconds
        return seconds


class Watchdog:
    """Looks at posts now and then, and tells of each that is stuck, once; and when it goes on.

    Args: tell: called with a line.
          patience: seconds of one act that are too many.
    """

    def __init__(self, tell: Callable[[str], None], *, patience: float = _PATIENCE) -> None:
        self._tell, self._patience = tell, patience
        self._posts: list[Post] = []
        self._stuck: dict[str, float] = {}

    def post(self, name: str) -> Post:
        """A new post to look at."""
        self._posts.append(Post(name))
        return self._posts[-1]

    def look(self, states: dict[str, str] | None = None) -> None:
        """Tell of changes.

        Args: states: name of a post to what it says of itself just now, in words.
        """
        now = time.monotonic()
        for post in self._posts:
            act, since = post.act, post.since
            stuck = bool(act) and now - since > self._patience
            if stuck and self._stuck.get(post.name) != since:
                self._stuck[post.name] = since
                said = (states or {}).get(post.name, "")
                detail = f" ({said})" if said else ""
                self._tell(f"stuck for {now - since:.0f} s: {act}{detail}")
            elif post.name in self._stuck and self._stuck[post.name] != since:
                del self._stuck[post.name]
                self._tell(f"{post.name} goes on")
