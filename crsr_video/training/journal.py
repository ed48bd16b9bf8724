"""What a run leaves for people: a log, its losses as JSON lines, sheets of samples, TensorBoard."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crsr_video.training.run import Run

log = logging.getLogger(__name__)

LOSSES = "losses.jsonl"

Sheet = Callable[[Run], NDArray[np.uint8]]


class Journal:
    """Writes into a run's folder.

    Args: folder: made if missing.
          every: steps between lines.
          sheet: makes a picture (H, W, 3) of samples from a run, if any is wanted.
          sheet_every: seconds between two of them.
          progress: draw a progress bar on stderr.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every: int = 25,
        sheet: Sheet | None = None,
        sheet_every: float = 600.0,
        progress: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._every = folder, every
        self._sheet, self._sheet_every = sheet, sheet_every
        self._sums: dict[str, float] = {}
        self._count, self._waited = 0, 0.0
        self._since = self._drawn = time.perf_counter()
        self._bar = tqdm(unit="step", disable=not progress)
        self._board = _tensorboard(folder)

    def add(self, run: Run, terms: dict[str, float], *, rate: float, waited: float) -> None:
        """Count one step, and write what is due.

        Args: waited: seconds in which the networks stood still for want of data.
        """
        self._count += 1
        self._waited += waited
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if run.step % self._every == 0:
            self._write(run, rate)
        if self._sheet and time.perf_counter() - self._drawn > self._sheet_every:
            self.draw(run)

    def draw(self, run: Run) -> None:
        """Write a sheet of samples now."""
        if self._sheet is None:
            return
        self._drawn = time.perf_counter()
        path = self._folder / f"samples_{run.step:07d}.png"
        cv2.imwrite(str(path), self._sheet(run)[..., ::-1])

    def close(self) -> None:
        """Finish the progress bar and TensorBoard's file."""
        self._bar.close()
        if self._board is not None:
            self._board.close()

    def _write(self, run: Run, rate: float) -> None:
        elapsed = time.perf_counter() - self._since
        means = {name: total / self._count for name, total in self._sums.items()}
        facts: dict[str, Any] = {
            "step": run.step,
            "planned": run.planned,
            "rate": rate,
            "steps_per_second": round(self._count / elapsed, 3),
            "waited": round(self._waited / elapsed, 3),
            **{name: round(mean, 6) for name, mean in means.items()},
        }
        with (self._folder / LOSSES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")
        words = "  ".join(f"{name} {mean:.4f}" for name, mean in means.items())
        log.info(
            "step %d/%s  %s  lr %.1e  %.2f steps/s  waited %.0f%%",
            run.step,
            run.planned or "?",
            words,
            rate,
            self._count / elapsed,
            100 * self._waited / elapsed,
        )
        self._bar.total = run.planned or None
        self._bar.update(run.step - self._bar.n)
        if self._board is not None:
            for name, mean in means.items():
                self._board.add_scalar(name, mean, run.step)
        self._sums, self._count, self._waited = {}, 0, 0.0
        self._since = time.perf_counter()


def _tensorboard(folder: Path) -> Any:
    """TensorBoard's writer, when it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
