"""Time, speed and running means of a training run, for its log and its plan."""

import time

from crsr_video.training.state import State


class Meter:
    """Counts from the moment it is made."""

    def __init__(self, step: int, seconds: float) -> None:
        """Begin. Args: step, seconds: where the run stands."""
        self._first, self._before, self._began = step, seconds, time.perf_counter()
        self._sums: dict[str, float] = {}
        self._since, self._then = 0, self._began

    def now(self) -> float:
        """Seconds of training, those of earlier runs included."""
        return self._before + time.perf_counter() - self._began

    def steps(self, state: State) -> int:
        """Steps of this run."""
        return state.step - self._first

    def speed(self, state: State) -> float:
        """Steps a second in this run."""
        return self.steps(state) / (self.now() - self._before)

    def add(self, terms: dict[str, float]) -> None:
        """Count the terms of one step."""
        self._since += 1
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def line(self, state: State) -> str:
        """Means since the last line, which this ends."""
        elapsed = time.perf_counter() - self._then
        means = {name: total / self._since for name, total in self._sums.items()}
        data = self._sums.get("data", 0.0) / elapsed
        means.pop("data", None)
        parts = [f"step {state.step}/{state.planned or '?'}", f"loss {sum(means.values()):.5f}"]
        parts += [f"{name} {mean:.5f}" for name, mean in means.items()]
        parts += [f"lr {state.optimizer.param_groups[0]['lr']:.2e}"]
        parts += [f"{self._since / elapsed:.2f} steps/s", f"data {data:.0%}"]
        self._sums, self._since, self._then = {}, 0, time.perf_counter()
        return "  ".join(parts)
