"""Quantities over time, kept in bounded memory."""

from dataclasses import dataclass, field
from statistics import median

from crsr_video.report.facts import Curve, VisibleSpan

MAX_POINTS = 240
MAX_SPANS = 120
MAX_GAP_SECONDS = 0.5
"""A face that was missing for longer than this begins a new span."""


@dataclass(slots=True)
class Gauge:
    """Minimum, maximum, mean and thinned curve of one quantity."""

    count: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    _every: int = 1
    _points: list[tuple[float, float]] = field(default_factory=list)
    _pending: list[tuple[float, float]] = field(default_factory=list)

    def push(self, seconds: float, value: float) -> None:
        """Add a value."""
        self.count += 1
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)
        self._pending.append((seconds, value))
        if len(self._pending) >= self._every:
            self._points.append(_mean(self._pending))
            self._pending.clear()
        if len(self._points) > MAX_POINTS:
            pairs = zip(self._points[::2], self._points[1::2], strict=False)
            self._points = [_mean(list(pair)) for pair in pairs]
            self._every *= 2

    @property
    def mean(self) -> float:
        """Mean of all values, or 0 without values."""
        return self.total / self.count if self.count else 0.0

    @property
    def median(self) -> float:
        """Median of the thinned curve, or 0 without values."""
        values = [value for _, value in self._all_points]
        return median(values) if values else 0.0

    @property
    def curve(self) -> Curve:
        """The curve so far, rounded for people to read."""
        points = self._all_points
        return Curve(
            tuple(round(seconds, 3) for seconds, _ in points),
            tuple(round(value, 4) for _, value in points),
        )

    @property
    def _all_points(self) -> list[tuple[float, float]]:
        return [*self._points, *([_mean(self._pending)] if self._pending else [])]

    def drop_curve(self) -> None:
        """Delete the curve, and keep only the totals."""
        self._points, self._pending = [], []


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    seconds, values = zip(*points, strict=True)
    return sum(seconds) / len(points), sum(values) / len(points)


class Presence:
    """Intervals during which a face was visible, enhanced or not."""

    def __init__(self) -> None:
        self._spans: list[VisibleSpan] = []

    def push(self, seconds: float, enhanced: bool) -> None:
        """Record that the face is visible at this time."""
        last = self._spans[-1] if self._spans else None
        if (
            last is not None
            and last.enhanced == enhanced
            and seconds - last.last_seconds <= MAX_GAP_SECONDS
        ):
            self._spans[-1] = VisibleSpan(last.first_seconds, seconds, enhanced)
            return
        self._spans.append(VisibleSpan(seconds, seconds, enhanced))
        if len(self._spans) > MAX_SPANS:
            self._join_nearest()

    @property
    def spans(self) -> tuple[VisibleSpan, ...]:
        """Spans in order of time, rounded for people to read."""
        return tuple(
            VisibleSpan(round(s.first_seconds, 3), round(s.last_seconds, 3), s.enhanced)
            for s in self._spans
        )

    def _join_nearest(self) -> None:
        neighbours = zip(self._spans, self._spans[1:], strict=False)
        gaps = [b.first_seconds - a.last_seconds for a, b in neighbours]
        at = gaps.index(min(gaps))
        a, b = self._spans[at : at + 2]
        longer = max(a, b, key=lambda span: span.last_seconds - span.first_seconds)
        self._spans[at : at + 2] = [VisibleSpan(a.first_seconds, b.last_seconds, longer.enhanced)]
