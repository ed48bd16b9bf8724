"""How long frames took, from arrival to departure: lately, and in all."""

import time
from collections import deque
from dataclasses import dataclass

import numpy as np

_BIN = 0.0005
"""Seconds; to this the figures of a whole run are exact."""
_BINS = 20_000


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of latencies, in milliseconds; all zero where there were none."""

    p50: float
    p95: float
    p99: float
    most: float


class LatencyMeter:
    """Counts latencies in bounded memory.

    Args: window: seconds that count as lately.
    """

    def __init__(self, window: float = 2.0) -> None:
        self._window = window
        self._recent: deque[tuple[float, float]] = deque()
        self._counts = np.zeros(_BINS, np.int64)
        self._most = 0.0

    def push(self, seconds: float, now: float | None = None) -> None:
        """A frame has left, so long after it came."""
        now = time.monotonic() if now is None else now
        self._recent.append((now, seconds))
        self._expire(now)
        self._counts[min(int(seconds / _BIN), _BINS - 1)] += 1
        self._most = max(self._most, seconds)

    def recent(self, now: float | None = None) -> Quantiles:
        """Of the frames that left within the window."""
        self._expire(time.monotonic() if now is None else now)
        if not self._recent:
            return Quantiles(0.0, 0.0, 0.0, 0.0)
        values = np.array([seconds for _, seconds in self._recent]) * 1e3
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        return Quantiles(float(p50), float(p95), float(p99), float(values.max()))

    def recent_rate(self, now: float | None = None) -> float:
        """Frames a second that left within the window."""
        self._expire(time.monotonic() if now is None else now)
        return len(self._recent) / self._window

    def total(self) -> Quantiles:
        """Of all frames, to half a millisecond."""
        reached = np.cumsum(self._counts)
        if reached[-1] == 0:
            return Quantiles(0.0, 0.0, 0.0, 0.0)
        p50, p95, p99 = (
            min(float(np.searchsorted(reached, share * reached[-1]) + 1) * _BIN, self._most) * 1e3
            for share in (0.5, 0.95, 0.99)
        )
        return Quantiles(p50, p95, p99, self._most * 1e3)

    def _expire(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - self._window:
            self._recent.popleft()
