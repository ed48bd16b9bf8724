"""Statistics of a live run: latencies, frame rates, quality."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_BIN_SECONDS = 0.0005
"""Resolution at which the latencies of a whole run are stored."""
_BINS = 20_000


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles of latencies in milliseconds. All are zero if there were no frames."""

    p50: float
    p95: float
    p99: float
    most: float


class LatencyMeter:
    """Collects latencies in bounded memory.

    Args:
        window_seconds: Length of the recent past that `recent` and `recent_rate` cover.
    """

    def __init__(self, window_seconds: float = 2.0) -> None:
        self._window_seconds = window_seconds
        self._recent: deque[tuple[float, float]] = deque()
        self._counts = np.zeros(_BINS, np.int64)
        self._most = 0.0

    def push(self, seconds: float, now: float | None = None) -> None:
        """Add the latency of a frame that was just written."""
        now = time.monotonic() if now is None else now
        self._recent.append((now, seconds))
        self._expire(now)
        self._counts[min(int(seconds / _BIN_SECONDS), _BINS - 1)] += 1
        self._most = max(self._most, seconds)

    def recent(self, now: float | None = None) -> Quantiles:
        """Return the quantiles of the recent frames."""
        self._expire(time.monotonic() if now is None else now)
        if not self._recent:
            return Quantiles(0.0, 0.0, 0.0, 0.0)
        values = np.array([seconds for _, seconds in self._recent]) * 1e3
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        return Quantiles(float(p50), float(p95), float(p99), float(values.max()))

    def recent_rate(self, now: float | None = None) -> float:
        """Return the recent frame rate."""
        self._expire(time.monotonic() if now is None else now)
        return len(self._recent) / self._window_seconds

    def total(self) -> Quantiles:
        """Return the quantiles of all frames, exact to half a millisecond."""
        reached = np.cumsum(self._counts)
        if reached[-1] == 0:
            return Quantiles(0.0, 0.0, 0.0, 0.0)
        p50, p95, p99 = (
            min(float(np.searchsorted(reached, share * reached[-1]) + 1) * _BIN_SECONDS, self._most)
            * 1e3
            for share in (0.5, 0.95, 0.99)
        )
        return Quantiles(p50, p95, p99, self._most * 1e3)

    def _expire(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - self._window_seconds:
            self._recent.popleft()


@dataclass(frozen=True, slots=True)
class LiveStatistics:
    """Statistics of the recent past of a run, or of the whole run.

    Attributes:
        seconds: Time since the first frame.
        frames_in: Frames that have arrived.
        frames_out: Frames that were written.
        fps_in: Frame rate of the source.
        fps_out: Frame rate of the output.
        dropped: Frames that were dropped in favour of newer ones.
        latency: Time from a frame's arrival until it was written.
        level: Name of the quality level.
        steps: Changes of the quality level.
        faces: Faces in the latest frame.
        faces_seen: Faces, summed over all frames.
        enhanced: Enhanced faces, summed over all frames.
        stages: Average milliseconds per frame in each stage.
        reconnections: Number of times that the source was connected to again.
        memory: Memory of this process in MiB, or None if the system does not report it.
    """

    seconds: float
    frames_in: int
    frames_out: int
    fps_in: float
    fps_out: float
    dropped: int
    latency: Quantiles
    level: str
    steps: int
    faces: int
    faces_seen: int
    enhanced: int
    stages: Mapping[str, float]
    reconnections: int
    memory: float | None

    def as_json(self) -> dict[str, Any]:
        """Return a dictionary for JSON, with values rounded to their precision."""
        facts = asdict(self)
        facts["latency"] = {f"{name}_ms": round(ms, 1) for name, ms in facts["latency"].items()}
        facts["stages"] = {name: round(ms, 2) for name, ms in self.stages.items()}
        for name in ("seconds", "fps_in", "fps_out"):
            facts[name] = round(facts[name], 2)
        facts["memory_mib"] = facts.pop("memory")
        return facts
