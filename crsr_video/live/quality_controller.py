"""Choose the quality level from the time that frames take.

The level goes down at once when frames take too much time. It goes up only when the additional work
is predicted to fit with room to spare. After a step up that had to be taken back, the controller
waits longer before the next one.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crsr_video.stages.quality import LiveQuality, QualityLevel

_WINDOW_SECONDS = 1.5
"""Length of the window of recent frames that are considered."""
_MIN_FRAMES = 5
_LATE_SHARE = 0.85
"""Share of the allowed latency from which a frame counts as late."""
_MAX_LATE = (2, 0.06)
"""Late or dropped frames in the window that are tolerated: this number, or this share of all frames
if that is more. At a scene cut one frame is late, because all of it is searched for faces."""
_CALM_SHARE = 0.7
"""Share of the allowed latency below which a step up may be tried."""
_MAX_LOAD = 0.95
"""Share of the time that the work may take."""
_MAX_PREDICTED_LOAD = 0.8
"""Share of the time that the work may take after a step up, by prediction."""
_START_SECONDS = 0.5
"""Time at the beginning of a run that is not considered."""
_SETTLING_SECONDS = 0.7
"""Time to wait after a step until its effect can be seen."""
_FIRST_CALM_SECONDS, _LONGEST_CALM_SECONDS = 2.0, 60.0
"""Calm time that is needed before a step up: initial and maximum value."""
_RELAPSE_SECONDS = 10.0
"""A step down this soon after a step up means that the step up was too early."""
_MIN_SAVING = 0.8
"""A step down must reduce the networks' work to less than this share, or its level is skipped."""


@dataclass(frozen=True, slots=True)
class FrameTiming:
    """Times of one frame in seconds.

    Attributes:
        latency: From its arrival until it was written.
        track: Time in the track stage.
        restore: Time in all other stages.
        write: Time in the writer. A slow receiver is no reason to lower the quality.
        fresh: Whether the networks processed the frame.
        dropped: Number of frames that were dropped since the previous frame.
    """

    latency: float
    track: float
    restore: float
    write: float
    fresh: bool
    dropped: int = 0


class QualityController:
    """Sets `LiveQuality.index` from the times of frames.

    Args:
        quality: The quality to control.
        max_latency_seconds: Latency that 95 % of the frames should stay below.
        on_step: Called with the new level and the reason for the step.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        quality: LiveQuality,
        max_latency_seconds: float,
        *,
        on_step: Callable[[QualityLevel, str], None] = lambda _level, _reason: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quality, self._max_latency = quality, max_latency_seconds
        self._on_step, self._clock = on_step, clock
        self._frames: deque[tuple[float, FrameTiming]] = deque()
        self._calm_seconds = _FIRST_CALM_SECONDS
        self._since = self._calm_since = self._raised_at = float("-inf")
        # Average times in the restore stages, for frames that the networks process and for others.
        self._fresh_seconds = self._carried_seconds = 0.0
        self.steps = 0
        """Number of changes of the level."""

    def push(self, frame: FrameTiming) -> None:
        """Add the times of a frame that was just written, and change the level if necessary."""
        now = self._clock()
        if self._since == float("-inf"):
            # All of the first frame is searched for faces, and later frames wait for it.
            self._since = self._calm_since = now + _START_SECONDS
        self._frames.append((now, frame))
        while self._frames[0][0] < max(now - _WINDOW_SECONDS, self._since):
            self._frames.popleft()
            if not self._frames:
                return
        self._average(frame)
        if now - self._since >= _SETTLING_SECONDS and len(self._frames) >= _MIN_FRAMES:
            self._judge(now)

    @property
    def expected_seconds(self) -> float:
        """Expected time in the restore stages for a frame that the networks process."""
        return self._fresh_seconds

    def _average(self, frame: FrameTiming) -> None:
        if frame.fresh:
            self._fresh_seconds = _moving_average(self._fresh_seconds, frame.restore)
        else:
            self._carried_seconds = _moving_average(self._carried_seconds, frame.restore)

    def _judge(self, now: float) -> None:
        reason = self._overload(now)
        if reason:
            self._calm_since = now
            self._lower(now, reason)
        elif not self._is_calm():
            self._calm_since = now
        elif now - self._calm_since >= self._calm_seconds:
            self._raise(now)

    def _span_seconds(self, now: float) -> float:
        return max(now - self._frames[0][0], 1e-3)

    def _overload(self, now: float) -> str:
        """Return the reason why there is too much work, or an empty string if there is not."""
        frames = [frame for _, frame in self._frames]
        span = self._span_seconds(now)
        track = sum(frame.track for frame in frames[1:]) / span
        restore = sum(frame.restore for frame in frames[1:]) / span
        write = sum(frame.write for frame in frames[1:]) / span
        busiest = max(track, restore)
        if write > _MAX_LOAD and busiest < _MAX_PREDICTED_LOAD:
            return ""  # It is the receiver that is slow.
        late = [f.latency for f in frames if f.latency > _LATE_SHARE * self._max_latency]
        if len(late) > max(_MAX_LATE[0], _MAX_LATE[1] * len(frames)):
            return f"{len(late)} of {len(frames)} frames took {np.median(late) * 1e3:.0f} ms"
        dropped = sum(frame.dropped for frame in frames[1:])
        if dropped > max(_MAX_LATE[0], _MAX_LATE[1] * len(frames)):
            return f"{dropped} frames dropped in {span:.1f} s"
        if busiest > _MAX_LOAD:
            return f"the work takes {busiest:.0%} of the time"
        return ""

    def _is_calm(self) -> bool:
        frames = [frame for _, frame in self._frames]
        p95 = float(np.percentile([frame.latency for frame in frames], 95))
        has_drops = any(frame.dropped for frame in frames[1:])
        return p95 < _CALM_SHARE * self._max_latency and not has_drops

    def _lower(self, now: float, reason: str) -> None:
        quality = self._quality
        work = quality.demand.work(quality.level)
        for index in range(quality.index + 1, len(quality.levels)):
            level = quality.levels[index]
            if not level.enhances or quality.demand.work(level) < _MIN_SAVING * work:
                if now - self._raised_at < _RELAPSE_SECONDS:
                    self._calm_seconds = min(2 * self._calm_seconds, _LONGEST_CALM_SECONDS)
                self._step(index, now, reason)
                return

    def _raise(self, now: float) -> None:
        quality = self._quality
        if quality.index == 0:
            return
        index = self._next_better_index()
        work = quality.demand.work(quality.level)
        if work > 0:
            # If the networks process every frame, the time of the other stages is unknown. Half of
            # the total is a reasonable guess.
            other = min(self._carried_seconds or self._fresh_seconds / 2, self._fresh_seconds)
            networks = (self._fresh_seconds - other) / quality.level.every
            predicted = other + networks * quality.demand.work(quality.levels[index]) / work
            rate = len(self._frames) / self._span_seconds(now)
            if predicted * rate > _MAX_PREDICTED_LOAD:
                return
        if now - self._raised_at > 4 * _LONGEST_CALM_SECONDS:
            self._calm_seconds = _FIRST_CALM_SECONDS
        self._raised_at = now
        self._step(index, now, "there is time again")

    def _next_better_index(self) -> int:
        """Return the index of the next better level, past levels that now take the same work."""
        quality = self._quality
        demand, levels = quality.demand, quality.levels
        index = quality.index - 1
        while index > 0 and demand.work(levels[index - 1]) == demand.work(levels[index]):
            if not levels[index].enhances or not demand.crops:
                break
            index -= 1
        return index

    def _step(self, index: int, now: float, reason: str) -> None:
        self._quality.index = index
        self.steps += 1
        self._since = self._calm_since = now
        self._frames.clear()
        self._fresh_seconds = self._carried_seconds = 0.0
        self._on_step(self._quality.level, reason)


def _moving_average(average: float, value: float) -> float:
    return average + 0.1 * (value - average) if average else value
