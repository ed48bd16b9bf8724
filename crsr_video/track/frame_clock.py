"""Positions of frames in time, so that smoothing does not depend on evenly spaced frames."""

from collections import deque
from statistics import median_low

_MEASURED_STEPS = 16
"""Number of recent steps between frames. Their lower median is the usual step. The number is even,
so that the median of alternating steps does not alternate too."""
_KEPT_FRAMES = 256
_EVEN = (0.9, 1.1)
"""Range of steps, relative to the usual step, that count as usual. Containers round timestamps to
milliseconds."""
_SHORTEST, _LONGEST = 0.25, 8.0
"""Bounds of one step in usual steps, even after a picture that was shown for minutes."""


class FrameClock:
    """Counts time in usual steps between frames.

    A video with an even frame rate counts its frames. In other videos, a frame that comes after
    twice the usual time is two steps away.
    """

    def __init__(self) -> None:
        self._places: dict[int, float] = {}
        self._steps: deque[float] = deque(maxlen=_MEASURED_STEPS)
        self._seconds = 0.0

    def add(self, index: int, seconds: float) -> None:
        """Add the next frame.

        Args:
            index: Number of the frame.
            seconds: Its timestamp in seconds.
        """
        step = 1.0
        if self._places and seconds > self._seconds:
            self._steps.append(seconds - self._seconds)
            step = (seconds - self._seconds) / median_low(self._steps)
            step = 1.0 if _EVEN[0] < step < _EVEN[1] else min(max(step, _SHORTEST), _LONGEST)
        # Places begin at zero, so that they do not round differently later in a video.
        self._places[index] = self.place(index - 1) + step if self._places else 0.0
        self._seconds = seconds
        if len(self._places) > _KEPT_FRAMES:
            del self._places[next(iter(self._places))]

    def place(self, index: int) -> float:
        """Return the place of a frame in usual steps. Unknown frames count as evenly spaced."""
        if index in self._places or not self._places:
            return self._places.get(index, float(index))
        first = next(iter(self._places))
        known = first if index < first else next(reversed(self._places))
        return self._places[known] + index - known
