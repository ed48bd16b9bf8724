"""Quantities over time, in bounded memory."""

from dataclasses import dataclass, field

from crsr_video.report.facts import Curve, Span

MOST_POINTS = 240
_MOST_SPANS = 120
_GAP = 0.5
"""Seconds without a face after which another span begins."""


@dataclass(slots=True)
class Gauge:
    """A quantity's extremes, mean and course; the course is thinned out as it grows."""

    count: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    _every: int = 1
    _points: list[tuple[float, float]] = field(default_factory=list)
    _waiting: list[tuple[float, float]] = field(default_factory=list)

    def push(self, seconds: float, value: float) -> None:
        """Another value."""
        self.count += 1
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)
        self._waiting.append((seconds, value))
        if len(self._waiting) >= self._every:
            self._points.append(_mean(self._waiting))
            self._waiting.clear()
        if len(self._points) > MOST_POINTS:
            pairs = zip(self._points[::2], self._points[1::2], strict=False)
            self._points = [_mean(list(pair)) for pair in pairs]
            self._every *= 2

    @property
    def mean(self) -> float:
        """Of all values; 0 if there was none."""
        return self.total / self.count if self.count else 0.0

    @property
    def median(self) -> float:
        """Of the thinned course."""
        values = sorted(value for _, value in self._course)
        middle = len(values) // 2
        if not values:
            return 0.0
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    @property
    def curve(self) -> Curve:
        """The course so far, rounded: a report is read by people."""
        course = self._course
        return Curve(
            tuple(round(seconds, 3) for seconds, _ in course),
            tuple(round(value, 4) for _, value in course),
        )

    @property
    def _course(self) -> list[tuple[float, float]]:
        return [*self._points, *([_mean(self._waiting)] if self._waiting else [])]

    def forget_course(self) -> None:
        """Keep only the sums."""
        self._points, self._waiting = [], []


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    seconds, values = zip(*points, strict=True)
    return sum(seconds) / len(points), sum(values) / len(points)


class Presence:
    """When a face was in view, and whether it was enhanced then."""

    def __init__(self) -> None:
        self._spans: list[list[float | bool]] = []

    def push(self, seconds: float, enhanced: bool) -> None:
        """It is in view at this time."""
        last = self._spans[-1] if self._spans else None
        if last is not None and last[2] == enhanced and seconds - last[1] <= _GAP:
            last[1] = seconds
            return
        self._spans.append([seconds, seconds, enhanced])
        if len(self._spans) > _MOST_SPANS:
            self._merge()

    @property
    def spans(self) -> tuple[Span, ...]:
        """In order of time."""
        return tuple(Span(round(a, 3), round(b, 3), bool(e)) for a, b, e in self._spans)

    def _merge(self) -> None:
        """Join the two neighbours with the least time between them; the longer one's kind wins."""
        gaps = [b[0] - a[1] for a, b in zip(self._spans, self._spans[1:], strict=False)]
        at = gaps.index(min(gaps))
        a, b = self._spans[at : at + 2]
        kind = a[2] if a[1] - a[0] >= b[1] - b[0] else b[2]
        self._spans[at : at + 2] = [[a[0], b[1], kind]]
