"""The log of a training run, its losses as JSON lines, and its sample sheets."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from crsr_video.networks import Bicubic, IdentityConsistifier, SuperResolver
from crsr_video.training.degrade import FACTOR
from crsr_video.training.draws import Draw
from crsr_video.training.run import Run

_LOG = logging.getLogger(__name__)

LOSSES = "losses.jsonl"
_ROWS = 6


class TrainingJournal:
    """Writes a run's log, losses and sample sheets into its folder."""

    def __init__(
        self,
        folder: Path,
        *,
        every: int = 25,
        sample: Draw | None = None,
        sheet_every: float = 600.0,
        progress: bool = False,
    ) -> None:
        """Open the journal.

        Args:
            folder: Folder of the run, which is created if it is missing.
            every: Steps between log lines.
            sample: Faces of the sample sheets, which should be held out from training. Without
                them, no sheets are written.
            sheet_every: Seconds between sample sheets.
            progress: Whether to draw a progress bar on standard error.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._every = folder, every
        self._sample, self._sheet_every = sample, sheet_every
        self._sums: dict[str, float] = {}
        self._count, self._waited = 0, 0.0
        self._since = self._drawn = time.perf_counter()
        self._bar = tqdm(unit="step", disable=not progress)

    def add(self, run: Run, terms: dict[str, float], *, rate: float, waited: float) -> None:
        """Count one step, and write what is due.

        Args:
            run: The run after the step.
            terms: Weighted loss terms by name.
            rate: Learning rate of the step.
            waited: Seconds spent waiting for data.
        """
        self._count += 1
        self._waited += waited
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if run.step % self._every == 0:
            self._write(run, rate)
        if time.perf_counter() - self._drawn > self._sheet_every:
            self.write_sheet(run)

    def write_sheet(self, run: Run) -> None:
        """Write a sample sheet now."""
        if self._sample is not None:
            self._drawn = time.perf_counter()
            path = self._folder / f"samples_{run.step:07d}.png"
            cv2.imwrite(str(path), sample_sheet(run, self._sample)[..., ::-1])

    def close(self) -> None:
        """Finish the progress bar."""
        self._bar.close()

    def _write(self, run: Run, rate: float) -> None:
        elapsed = time.perf_counter() - self._since
        means = {name: total / self._count for name, total in self._sums.items()}
        speed, waited = self._count / elapsed, self._waited / elapsed
        line: dict[str, Any] = {
            "step": run.step,
            "planned": run.planned,
            "rate": rate,
            "steps_per_second": round(speed, 3),
            "waited": round(waited, 3),
            **{name: round(mean, 6) for name, mean in means.items()},
        }
        with (self._folder / LOSSES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        words = "  ".join(f"{name} {mean:.4f}" for name, mean in means.items())
        _LOG.info(
            "step %d/%s  %s  learning rate %.1e  %.2f steps/s  waiting for data %.0f%%",
            *(run.step, run.planned or "?", words, rate, speed, 100 * waited),
        )
        self._bar.total = run.planned or None
        self._bar.update(run.step - self._bar.n)
        self._sums, self._count, self._waited = {}, 0, 0.0
        self._since = time.perf_counter()


@torch.inference_mode()
def sample_sheet(run: Run, draw: Draw) -> NDArray[np.uint8]:
    """Draw a row (input, bicubic, phi, psi(phi), with texture, truth) of each face, RGB."""
    inputs = (draw.genuine, draw.degraded, draw.artificial)
    low = next(x for x in inputs if x is not None)[:_ROWS].to(run.device)
    phi = run.average("consistifier") if "consistifier" in run.averages else IdentityConsistifier()
    consistent = phi(low).clamp(0, 1)
    columns = [_enlarged(low), Bicubic()(low), _enlarged(consistent)]
    if "superresolver" in run.averages:
        psi = run.average("superresolver")
        columns.append(psi(consistent))
        if isinstance(psi, SuperResolver) and psi.tail is not None:
            columns.append(columns[-1] + psi.tail(psi.features(consistent)))
    if "background" in run.averages:
        columns.append(run.average("background")(low, FACTOR))
    if draw.genuine is None:
        columns.append(draw.target[:_ROWS].to(run.device))
    sheet = torch.cat([c.float().cpu() for c in columns], 3)
    pictures = sheet.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return np.concatenate(list(pictures))


def _enlarged(low: Tensor) -> Tensor:
    return low.repeat_interleave(4, 2).repeat_interleave(4, 3)
