"""Starts or resumes a training run in a folder, and contains the loop of every method."""

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from crsr_video import weights
from crsr_video.errors import TrainingError
from crsr_video.training.data import Faces
from crsr_video.training.degrade import FACTOR
from crsr_video.training.draws import DrawSettings, DrawSource, prefetch
from crsr_video.training.genuine import FramedFaces, Genuine
from crsr_video.training.journal import TrainingJournal
from crsr_video.training.method import TrainingMethod
from crsr_video.training.run import Run, check_same, load, save

CHECKPOINT = "checkpoint.pt"

_STEPS_TO_MEASURE = 20
"""Number of steps after which the speed is known well enough to plan the schedule."""
_SHEET_FACES = 6

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits and intervals: when to stop, log and save."""

    steps: int | None = None
    """Length of the schedule. A run with a number of steps can be repeated exactly."""
    minutes: float | None = None
    """Length of the schedule in training time, from which the number of steps is estimated."""
    until: int | None = None
    """Pause at this step, in the middle of the schedule."""
    pause: float | None = None
    """Pause after this call has trained for this many minutes."""
    log_every: int = 25
    """Steps between log lines."""
    save_every: float = 120.0
    """Seconds between checkpoints."""
    sheet_every: float = 600.0
    """Seconds between sample sheets."""


class TrainingSession:
    """A training run in a folder, which is new or continues the run in that folder."""

    def __init__(
        self,
        method: TrainingMethod,
        faces: Path,
        folder: Path,
        *,
        genuine: Path | None = None,
        start: Sequence[Path] = (),
        framing: str = "canonical",
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Start or resume the run.

        Args:
            method: How to train.
            faces: A pack of high-resolution faces.
            folder: Folder of the run.
            genuine: A pack of harvested faces, or an .npz file.
            start: Folders of runs, checkpoints or weights files whose weights a new run starts
                from. Each network is taken from the first one that contains it.
            framing: "canonical", or "wider" for faces cut as in the .npz file.
            seed: Seed of the networks and of every draw.
            device: "cpu", "cuda" or "cuda:N".

        Raises:
            TrainingError: Data or weights cannot be used, or the folder holds a run that was
                started in another way.
        """
        if device != "cpu" and not torch.cuda.is_available():
            raise TrainingError(f"device '{device}' is not available: use cpu")
        self._method, self._folder, self._device = method, folder, device
        self._seed, self._framing = seed, framing
        self._faces, self._genuine = faces, genuine
        self._settings = {**method.settings(), "framing": framing}
        self.run = self._resumed() if (folder / CHECKPOINT).exists() else self._started(start)

    def train(self, limits: Limits, *, workers: int = 0, progress: bool = False) -> None:
        """Train until `limits` say so.

        Args:
            limits: When to stop, log and save.
            workers: Number of threads that prepare data.
            progress: Whether to draw a progress bar on standard error.

        Raises:
            TrainingError: The loss is no longer finite, data is damaged, or the disk is full.
        """
        settings = self._method.draw_settings
        source = self._source("train", settings)
        held_out = self._source("val", _for_sheet(settings))
        journal = TrainingJournal(
            self._folder,
            every=limits.log_every,
            sample=held_out.at(0),
            sheet_every=limits.sheet_every,
            progress=progress,
        )
        with closing(journal):
            train(self._method, self.run, source, self._folder, limits, journal, workers=workers)
            journal.write_sheet(self.run)

    def _source(self, split: str, settings: DrawSettings) -> DrawSource:
        genuine = Genuine(self._genuine, split) if self._genuine and settings.genuine else None
        kind = FramedFaces if self._framing == "wider" else Faces
        return DrawSource(
            kind(self._faces, split),
            genuine,
            settings,
            seed=self._seed,
            device=self._device,
            photographs=kind(self._faces, split, kind="real") if settings.photographs else None,
        )

    def _resumed(self) -> Run:
        run = load(self._folder / CHECKPOINT, self._device)
        check_same(run, self._method.name, self._settings, self._method.specs())
        if run.seed != self._seed:
            raise TrainingError(f"the run was started with --seed {run.seed}, not {self._seed}")
        _LOG.info("resuming at step %d", run.step)
        return run

    def _started(self, start: Sequence[Path]) -> Run:
        specs = self._method.specs()
        run = Run(self._method.name, self._settings, specs, seed=self._seed, device=self._device)
        done: set[str] = set()
        for path in start:
            found = starting_weights(path)
            for name in run.networks.keys() & (found.keys() - done):
                new = run.load_weights(name, found[name])
                _LOG.info("%s: from %s, %d new tensors", name, path.name, len(new))
                done.add(name)
        return run


def _for_sheet(settings: DrawSettings) -> DrawSettings:
    """Return settings that draw a few unvaried faces of the largest tier."""
    largest = max(settings.tiers, key=lambda tier: tier.patch)
    tiers = (replace(largest, batch=_SHEET_FACES, share=1.0),)
    return replace(settings, tiers=tiers, photographs=False, varied=False, factors=(FACTOR,))


def read_run(path: Path) -> Run:
    """Read a run from its folder or its checkpoint.

    Raises:
        TrainingError: There is no checkpoint, or it is damaged.
    """
    return load(path / CHECKPOINT if path.is_dir() else path)


def starting_weights(path: Path) -> dict[str, dict[str, Tensor]]:
    """Return averaged weights by network, from a run or a weights file.

    A discriminator has no average, so its own weights are returned.
    """
    if path.suffix == ".safetensors" or not path.exists():
        pair = weights.load(str(path))
        networks = {"consistifier": pair.consistifier, "superresolver": pair.superresolver}
        return {name: dict(network.state_dict()) for name, network in networks.items()}
    run = read_run(path)
    return {
        name: dict((run.average(name) if name in run.averages else run[name]).state_dict())
        for name in run.networks
    }


def train(
    method: TrainingMethod,
    run: Run,
    source: DrawSource,
    folder: Path,
    limits: Limits,
    journal: TrainingJournal,
    *,
    workers: int = 0,
) -> Run:
    """Train until the schedule ends or `limits` pause it, and save checkpoints regularly.

    Raises:
        TrainingError: `limits` has no length, the loss is no longer finite, or the disk is full.
            The checkpoint in `folder` is the last good one.
    """
    if not (limits.steps or limits.minutes):
        raise TrainingError("training needs a length: use --steps or --minutes")
    if limits.steps:
        if run.step and run.planned and run.planned != limits.steps:
            raise TrainingError(
                f"the run was planned for {run.planned} steps, not {limits.steps}: resume with "
                f"--steps {run.planned}, or start a new run from its weights"
            )
        run.planned = limits.steps
    clock = _Clock(run, limits)
    with closing(prefetch(source.at, run.step, workers)) as draws:
        while not clock.is_over():
            began = time.perf_counter()
            draw = next(draws)
            waited = time.perf_counter() - began
            rate = method.schedule.rate(run.step, run.progress if run.planned else 0.0)
            terms = method.step(run, draw, rate)
            run.finish_step(method.decay)
            clock.count_step()
            journal.add(run, terms, rate=rate, waited=waited)
            if clock.is_checkpoint_due():
                save(run, folder / CHECKPOINT)
    save(run, folder / CHECKPOINT)
    return run


class _Clock:
    """Measures training time and speed, and decides when to stop and when to save."""

    def __init__(self, run: Run, limits: Limits) -> None:
        self._run, self._limits = run, limits
        self._first, self._before, self._began = run.step, run.seconds, time.perf_counter()
        self._saved = 0.0

    def count_step(self) -> None:
        self._run.seconds = self._before + self._elapsed()
        if self._run.step - self._first == _STEPS_TO_MEASURE:
            self._replan()

    def is_over(self) -> bool:
        run, limits = self._run, self._limits
        if limits.pause is not None and self._elapsed() > limits.pause * 60:
            return True
        if limits.until is not None and run.step >= limits.until:
            return True
        return run.planned > 0 and run.step >= run.planned

    def is_checkpoint_due(self) -> bool:
        if self._elapsed() - self._saved < self._limits.save_every:
            return False
        self._saved = self._elapsed()
        self._replan()
        return True

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began

    def _replan(self) -> None:
        """Plan the number of steps that fits into the remaining time."""
        run, minutes = self._run, self._limits.minutes
        if minutes is None or self._limits.steps:
            return
        speed = (run.step - self._first) / self._elapsed()
        run.planned = run.step + max(1, round((minutes * 60 - run.seconds) * speed))
