"""How long a run is, and its learning rate on the way."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning rate: a linear rise over the first steps, then half a cosine down to the floor."""

    peak: float = 4e-4
    """Highest learning rate."""
    floor: float = 1e-5
    """Learning rate at the end."""
    warmup: int = 100
    """Steps until the highest rate."""

    def rate(self, step: int, progress: float) -> float:
        """At a step, `progress` (0 to 1) of the schedule being done."""
        fallen = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        return (self.floor + (self.peak - self.floor) * fallen) * min(
            1.0, (step + 1) / max(1, self.warmup)
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When to stop, log and save."""

    steps: int | None = None
    """Length of the schedule; a run that is given it can be repeated exactly."""
    minutes: float | None = None
    """Instead of steps: the schedule is fitted to this time from the measured speed."""
    until: int | None = None
    """Pause at this step, in the middle of the schedule."""
    pause: float | None = None
    """Pause after so many minutes of this call."""
    log_every: int = 25
    """Steps."""
    save_every: float = 120.0
    """Seconds."""
    sheet_every: float = 600.0
    """Seconds between sheets of samples."""
