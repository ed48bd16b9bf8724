"""Report threads that are stuck."""

import time
from collections.abc import Callable

_STUCK_SECONDS = 5.0


class Activity:
    """Current activity of one thread, which the thread reports and the watchdog reads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.action = ""
        """Current action, for messages. Empty while the thread waits for work."""
        self.since = time.monotonic()
        self.busy_seconds = 0.0
        """Total time of all finished actions."""

    def begin(self, action: str) -> None:
        """Report that an action begins."""
        self.since = time.monotonic()
        self.action = action

    def end(self) -> float:
        """Report that the action has ended, and return the seconds that it took."""
        seconds = time.monotonic() - self.since
        self.action = ""
        self.busy_seconds += seconds
        return seconds


class Watchdog:
    """Reports each stuck activity once, and reports when it continues.

    Args:
        report: Called with a line of text.
        stuck_seconds: Duration above which an action counts as stuck.
    """

    def __init__(
        self, report: Callable[[str], None], *, stuck_seconds: float = _STUCK_SECONDS
    ) -> None:
        self._report, self._stuck_seconds = report, stuck_seconds
        self._activities: list[Activity] = []
        self._stuck: dict[str, float] = {}

    def add(self, name: str) -> Activity:
        """Return a new activity to watch."""
        self._activities.append(Activity(name))
        return self._activities[-1]

    def look(self, states: dict[str, str] | None = None) -> None:
        """Report the activities that got stuck or continued since the last call.

        Args:
            states: Further details by the name of an activity.
        """
        now = time.monotonic()
        for activity in self._activities:
            action, since = activity.action, activity.since
            is_stuck = bool(action) and now - since > self._stuck_seconds
            if is_stuck and self._stuck.get(activity.name) != since:
                self._stuck[activity.name] = since
                state = (states or {}).get(activity.name, "")
                detail = f" ({state})" if state else ""
                self._report(f"stuck for {now - since:.0f} s: {action}{detail}")
            elif activity.name in self._stuck and self._stuck[activity.name] != since:
                del self._stuck[activity.name]
                self._report(f"{activity.name} goes on")
