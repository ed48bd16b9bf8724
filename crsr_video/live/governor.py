"""Watch the clock, and say how much may be done for a frame.

Down a level at once when work does not fit, up again only when it would fit with room to spare;
and after a step up that had to be taken back, the next one waits longer.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crsr_video.stages.quality import LiveQuality, QualityLevel

_WINDOW = 1.5
"""Seconds that are looked at."""
_LEAST_FRAMES = 5
_LATE = 0.85
"""Share of the latency allowed, beyond which a frame counts as late."""
_MOST_LATE = (2, 0.06)
"""Late frames in a window, and their share, that are no reason to step down: a cut, where the
whole picture is looked at, makes one."""
_CALM = 0.7
"""Share of it under which a step up may be tried."""
_FULL = 0.95
"""Share of the time that work may take."""
_ROOM = 0.8
"""Share of the time that work may take, by prediction, after a step up."""
_BEGINNING = 0.5
"""Seconds at first that do not count."""
_SETTLE = 0.7
"""Seconds after a step down in which its effect is awaited."""
_PATIENCE = (2.0, 60.0)
"""Seconds of calm before a step up: at first, and at most."""
_RELAPSE = 10.0
"""A step down so soon after a step up means that it was too early."""
_LESS = 0.8
"""A step down must save this much of the networks' work, or it is skipped."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one frame cost, in seconds."""

    latency: float
    """From arrival to departure."""
    track: float
    restore: float
    write: float
    """In the sink: what a slow reader takes is no reason to do less."""
    fresh: bool
    """The networks saw it."""
    dropped: int = 0
    """Frames that were dropped since the one before."""


class Governor:
    """Sets `LiveQuality.index` from what frames cost.

    Args: effort: to be set.
          most: latency in seconds that p95 is to stay below.
          tell: called with the new level and the reason, in words.
          clock: seconds.
    """

    def __init__(
        self,
        effort: LiveQuality,
        most: float,
        *,
        tell: Callable[[QualityLevel, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._effort, self._most, self._tell, self._clock = effort, most, tell, clock
        self._samples: deque[tuple[float, Sample]] = deque()
        self._patience = _PATIENCE[0]
        self._since = self._calm = self._raised = float("-inf")
        self._fresh, self._carried = 0.0, 0.0
        """Seconds that such frames take in restore, averaged."""
        self.steps = 0
        """Changes of level so far."""

    def push(self, sample: Sample) -> None:
        """A frame has left."""
        now = self._clock()
        if self._since == float("-inf"):
            # The first frame is looked at whole, and those after it wait for that.
            self._since = self._calm = now + _BEGINNING
        self._samples.append((now, sample))
        while self._samples[0][0] < max(now - _WINDOW, self._since):
            self._samples.popleft()
            if not self._samples:
                return
        self._average(sample)
        if now - self._since >= _SETTLE and len(self._samples) >= _LEAST_FRAMES:
            self._judge(now)

    @property
    def expected(self) -> float:
        """Seconds that a frame takes in restore, if the networks are to see it."""
        return self._fresh

    def _average(self, sample: Sample) -> None:
        if sample.fresh:
            self._fresh += 0.1 * (sample.restore - self._fresh) if self._fresh else sample.restore
        else:
            self._carried += (
                0.1 * (sample.restore - self._carried) if self._carried else sample.restore
            )

    def _judge(self, now: float) -> None:
        reason = self._overload(now)
        if reason:
            self._calm = now
            self._lower(now, reason)
        elif not self._easy():
            self._calm = now
        elif now - self._calm >= self._patience:
            self._raise(now)

    def _span(self, now: float) -> float:
        return max(now - self._samples[0][0], 1e-3)

    def _overload(self, now: float) -> str:
        """Why there is too much to do, in words; empty: there is not."""
        samples = [sample for _, sample in self._samples]
        span = self._span(now)
        track, restore, write = (
            sum(getattr(sample, part) for sample in samples[1:]) / span
            for part in ("track", "restore", "write")
        )
        busiest = max(track, restore)
        if write > _FULL and busiest < _ROOM:
            return ""  # The sink is what is slow.
        late = [s.latency for s in samples if s.latency > _LATE * self._most]
        if len(late) > _MOST_LATE[0] and len(late) > _MOST_LATE[1] * len(samples):
            return f"{len(late)} of {len(samples)} frames took {np.median(late) * 1e3:.0f} ms"
        dropped = sum(sample.dropped for sample in samples[1:])
        if dropped > max(_MOST_LATE[0], _MOST_LATE[1] * len(samples)):
            return f"{dropped} frames dropped in {span:.1f} s"
        if busiest > _FULL:
            return f"work fills {busiest:.0%} of the time"
        return ""

    def _easy(self) -> bool:
        samples = [sample for _, sample in self._samples]
        p95 = float(np.percentile([sample.latency for sample in samples], 95))
        return p95 < _CALM * self._most and not any(sample.dropped for sample in samples[1:])

    def _lower(self, now: float, reason: str) -> None:
        effort = self._effort
        work = effort.demand.work(effort.level)
        for index in range(effort.index + 1, len(effort.levels)):
            level = effort.levels[index]
            if not level.enhances or effort.demand.work(level) < _LESS * work:
                if now - self._raised < _RELAPSE:
                    self._patience = min(2 * self._patience, _PATIENCE[1])
                self._step(index, now, reason)
                return

    def _raise(self, now: float) -> None:
        effort = self._effort
        if effort.index == 0:
            return
        index = self._better()
        above = effort.levels[index]
        work = effort.demand.work(effort.level)
        if work > 0:
            # Where every frame is fresh, what the rest takes is not known; half is a fair guess.
            rest = min(self._carried or self._fresh / 2, self._fresh)
            networks = (self._fresh - rest) / effort.level.every
            predicted = rest + networks * effort.demand.work(above) / work
            frames = len(self._samples) / self._span(now)
            if predicted * frames > _ROOM:
                return
        if now - self._raised > 4 * _PATIENCE[1]:
            self._patience = _PATIENCE[0]
        self._raised = now
        self._step(index, now, "there is time again")

    def _better(self) -> int:
        """The next level up, past those that are the same for the faces in view."""
        effort = self._effort
        index = effort.index - 1
        demand = effort.demand
        while index > 0 and demand.work(effort.levels[index - 1]) == demand.work(
            effort.levels[index]
        ):
            if not effort.levels[index].enhances or not demand.crops:
                break
            index -= 1
        return index

    def _step(self, index: int, now: float, reason: str) -> None:
        self._effort.index = index
        self.steps += 1
        self._since = self._calm = now
        self._samples.clear()
        self._fresh = self._carried = 0.0
        if self._tell is not None:
            self._tell(self._effort.level, reason)
