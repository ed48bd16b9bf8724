"""The training loop: both networks together, each answering for its own task.

    L = pix(psi(phi(d)), y) + pix(psi(a'), y) + pix(phi(d), a) + pix(phi(a), a)   (weighted)

with y the target, d its video-like degradation, a its artificial LR, and a' either a or phi(a).
The first two terms are super-resolution of genuine-like and of artificial input; the last two are
the characteristic regularisation, which keeps the consistifier from doing the super-resolver's
work. This is our reconstruction with paired, synthetic supervision; the paper learns from
unpaired genuine LR with adversarial terms, which are not here yet.
"""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.training.data import TIERS, Faces, Tier, batch, choose_tier
from crsr_video.training.degrade import clean, degrade
from crsr_video.training.losses import Weights, characteristic, charbonnier, is_finite
from crsr_video.training.meter import Meter
from crsr_video.training.state import Pair, State, follow, rate, save

log = logging.getLogger(__name__)

_STEPS_TO_MEASURE = 20


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train; the defaults made the shipped weights."""

    peak: float = 4e-4
    """Highest learning rate."""
    floor: float = 1e-5
    """Learning rate at the end."""
    warmup: int = 100
    """Steps until the highest rate."""
    decay: float = 0.999
    """Of the moving average of weights."""
    clip: float = 0.5
    """Largest norm of the gradient."""
    clean_share: float = 0.5
    """Part of each batch that is also super-resolved from its artificial LR, half of it through
    the consistifier, as clean footage will be."""
    weights: Weights = field(default_factory=Weights)
    tiers: tuple[Tier, ...] = TIERS


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When to stop, log and save."""

    steps: int | None = None
    """Length of the schedule; a run that is given it can be repeated exactly."""
    minutes: float | None = None
    """Instead of steps: the schedule is fitted to this time from the measured speed."""
    until: int | None = None
    """Pause at this step, in the middle of the schedule."""
    log_every: int = 25
    """Steps."""
    save_every: float = 120.0
    """Seconds."""


def train(faces: Faces, state: State, path: Path, limits: Limits, recipe: Recipe) -> State:
    """Train until the schedule ends (or `limits.until`), saving to `path` on the way.

    Raises: TrainingError: the loss is no longer finite; `path` keeps the last good state.
    """
    if not (limits.steps or limits.minutes):
        raise TrainingError("training needs a number of steps or of minutes")
    state.planned = limits.steps or state.planned
    meter = Meter(state.step, state.seconds)
    saved = meter.now()
    while state.planned == 0 or state.step < min(state.planned, limits.until or state.planned):
        loss = train_step(faces, state, recipe)
        meter.add(loss)
        state.seconds = meter.now()
        if limits.minutes and not limits.steps and meter.steps(state) == _STEPS_TO_MEASURE:
            replan(state, limits.minutes, meter.speed(state))
        if state.step % limits.log_every == 0:
            log.info("%s", meter.line(state))
        if meter.now() - saved > limits.save_every:
            saved = meter.now()
            save(state, path)
            if limits.minutes and not limits.steps:
                replan(state, limits.minutes, meter.speed(state))
    save(state, path)
    return state


def replan(state: State, minutes: float, speed: float) -> None:
    """Fit the steps that are left to the time that is left, at `speed` steps a second."""
    left = minutes * 60 - state.seconds
    state.planned = state.step + max(1, round(left * speed))


def train_step(faces: Faces, state: State, recipe: Recipe) -> dict[str, float]:
    """One update of both networks and of their average; the terms of the loss, and data time.

    Raises: TrainingError: the loss is not finite; nothing was changed.
    """
    began = time.perf_counter()
    rng = np.random.default_rng((state.seed, state.step))
    target = batch(faces, choose_tier(faces, rng, recipe.tiers), rng)
    degraded = degrade(target, rng)
    data = time.perf_counter() - began
    terms = objective(state.pair, target, degraded, recipe)
    loss = torch.stack(list(terms.values())).sum()
    if not is_finite(loss):
        raise TrainingError(f"the loss became {loss.item()} at step {state.step}")
    _update(state, loss, recipe)
    return {**{name: float(term.detach()) for name, term in terms.items()}, "data": data}


def objective(pair: Pair, target: Tensor, degraded: Tensor, recipe: Recipe) -> dict[str, Tensor]:
    """The weighted terms of the loss.

    Args: target: y, (N, 3, 4T, 4T). degraded: d, (N, 3, T, T).
    """
    artificial = clean(target)
    n, kept = len(target), round(len(target) * recipe.clean_share)
    weights = recipe.weights
    with torch.autocast("cpu", torch.bfloat16):
        # Genuine-like and artificial input share one pass through each network.
        consistent = pair.consistifier(_channels_last(degraded, artificial[:kept]))
        both = n + kept // 2
        small = _channels_last(consistent[:both], artificial[both - n : kept])
        picture = pair.superresolver(small)
    return {
        "degraded": charbonnier(picture[:n], target),
        "clean": weights.clean * charbonnier(picture[n:], target[:kept]),
        "characteristic": characteristic(
            consistent[:n], consistent[n:], artificial, toward=weights.toward, keep=weights.keep
        ),
    }


def _channels_last(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second]).contiguous(memory_format=torch.channels_last)


def _update(state: State, loss: Tensor, recipe: Recipe) -> None:
    """Back-propagate, step, and let the average follow."""
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.pair.parameters(), recipe.clip)
    for group in state.optimizer.param_groups:
        group["lr"] = rate(
            state.step,
            state.progress if state.planned else 0.0,
            peak=recipe.peak,
            floor=recipe.floor,
            warmup=recipe.warmup,
        )
    state.optimizer.step()
    # The average of a young run must not remember its first steps.
    follow(state.average, state.pair, min(recipe.decay, (1 + state.step) / (10 + state.step)))
    if state.planned:
        state.advance()
    else:
        state.step += 1
