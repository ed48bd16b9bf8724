"""The loop around every method: draw, step, average, log, save."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from crsr_video.errors import TrainingError
from crsr_video.training.draws import Draw, Source, ahead
from crsr_video.training.journal import Journal
from crsr_video.training.method import Method
from crsr_video.training.run import Run, save
from crsr_video.training.schedule import Limits

CHECKPOINT = "checkpoint.pt"
_STEPS_TO_MEASURE = 20


def train(
    method: Method,
    run: Run,
    source: Source,
    folder: Path,
    limits: Limits,
    journal: Journal,
    *,
    workers: int = 0,
) -> Run:
    """Train until the schedule ends (or `limits` pause it), saving to `folder` on the way.

    Raises: TrainingError: the loss is no longer finite, or the disk is full; the checkpoint in
            `folder` is the last good one.
    """
    _plan(run, limits)
    clock = _Clock(run, limits)
    with closing(ahead(source.at, run.step, workers)) as draws:
        while not clock.over():
            _one_step(method, run, draws, journal, clock)
            if clock.due_to_save():
                save(run, folder / CHECKPOINT)
    save(run, folder / CHECKPOINT)
    return run


def _one_step(
    method: Method, run: Run, draws: Iterator[Draw], journal: Journal, clock: "_Clock"
) -> None:
    began = time.perf_counter()
    draw = next(draws)
    waited = time.perf_counter() - began
    rate = method.schedule.rate(run.step, run.progress if run.planned else 0.0)
    terms = method.step(run, draw, rate)
    run.follow(method.decay)
    clock.tick()
    journal.add(run, terms, rate=rate, waited=waited)


def _plan(run: Run, limits: Limits) -> None:
    """Fix the length of the schedule. Raises: TrainingError: none, or another than before."""
    if not (limits.steps or limits.minutes):
        raise TrainingError("training needs a number of steps or of minutes")
    if limits.steps:
        if run.step and run.planned and run.planned != limits.steps:
            raise TrainingError(
                f"the run was planned for {run.planned} steps, not {limits.steps}: go on with "
                "that, or begin a new one from its weights"
            )
        run.planned = limits.steps


class _Clock:
    """Time, speed, and what is due."""

    def __init__(self, run: Run, limits: Limits) -> None:
        self._run, self._limits = run, limits
        self._first, self._before, self._began = run.step, run.seconds, time.perf_counter()
        self._saved = 0.0

    def tick(self) -> None:
        """A step is done."""
        self._run.seconds = self._before + self._here()
        if self._run.step - self._first == _STEPS_TO_MEASURE:
            self._replan()

    def over(self) -> bool:
        run, limits = self._run, self._limits
        if limits.pause is not None and self._here() > limits.pause * 60:
            return True
        if limits.until is not None and run.step >= limits.until:
            return True
        return run.planned > 0 and run.step >= run.planned

    def due_to_save(self) -> bool:
        if self._here() - self._saved < self._limits.save_every:
            return False
        self._saved = self._here()
        self._replan()
        return True

    def _here(self) -> float:
        """Seconds of this call."""
        return time.perf_counter() - self._began

    def _replan(self) -> None:
        """Fit the steps that are left to the time that is left."""
        run, minutes = self._run, self._limits.minutes
        if minutes is None or self._limits.steps:
            return
        speed = (run.step - self._first) / self._here()
        run.planned = run.step + max(1, round((minutes * 60 - run.seconds) * speed))
