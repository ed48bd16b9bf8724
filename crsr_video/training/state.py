"""All that a training run is at one moment, and its file."""

import copy
import math
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from crsr_video.errors import TrainingError
from crsr_video.networks import Consistifier, SuperResolver

FORMAT = "crsr-video-training/1"


class Pair(nn.Module):
    """The two networks side by side; their parameters carry the names used in weight files."""

    def __init__(self, consistifier: nn.Module, superresolver: nn.Module) -> None:
        super().__init__()
        self.consistifier = consistifier
        self.superresolver = superresolver


@dataclass
class State:
    """A run between two steps."""

    pair: Pair
    average: Pair
    """Exponential moving average of `pair`: what is evaluated and shipped."""
    optimizer: torch.optim.Optimizer
    arguments: dict[str, dict[str, Any]]
    """Constructor arguments of each network."""
    seed: int
    step: int = 0
    planned: int = 0
    """Steps the schedule is made for; 0 until the speed has been measured."""
    progress: float = 0.0
    """How far the schedule has come, 0 to 1."""
    seconds: float = 0.0
    """Spent in training so far."""

    def advance(self) -> None:
        """Count one step.

        With a fixed plan, progress is step / planned; a plan that is revised on the way spreads
        what is left over the steps that are left.
        """
        self.progress += (1 - self.progress) / max(1, self.planned - self.step)
        self.step += 1


def fresh(arguments: dict[str, dict[str, Any]], seed: int) -> State:
    """A new run: networks that begin as the identity and as bicubic enlargement.

    Args: arguments: for the constructors of "consistifier" and "superresolver".
    """
    torch.manual_seed(seed)
    pair = Pair(
        Consistifier(**arguments["consistifier"]), SuperResolver(**arguments["superresolver"])
    )
    pair.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(pair).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        pair.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
    )
    return State(pair, average, optimizer, arguments, seed)


def save(state: State, path: Path) -> None:
    """Write the run, whole or not at all: an interruption leaves the previous file."""
    content = {
        "format": FORMAT,
        "pair": state.pair.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "arguments": state.arguments,
        "seed": state.seed,
        "step": state.step,
        "planned": state.planned,
        "progress": state.progress,
        "seconds": state.seconds,
    }
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(path: Path) -> State:
    """Read a run back, to go on as if it had never stopped.

    Raises: TrainingError: missing, damaged, or no training checkpoint of this version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != FORMAT:
            raise TrainingError(f"{path} is a checkpoint of another version")
        state = fresh(content["arguments"], content["seed"])
        state.pair.load_state_dict(content["pair"])
        state.average.load_state_dict(content["average"])
        state.optimizer.load_state_dict(content["optimizer"])
        for name in ("step", "planned", "progress", "seconds"):
            setattr(state, name, content[name])
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as e:
        raise TrainingError(f"cannot resume from {path}: {e}") from e
    return state


def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move every averaged weight towards the model's, by 1 - decay."""
    lerp = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    lerp(tuple(average.parameters()), tuple(p.detach() for p in model.parameters()), 0)


def rate(step: int, progress: float, *, peak: float, floor: float, warmup: int) -> float:
    """Learning rate: a linear rise over the first steps, then half a cosine down to the floor."""
    cosine = floor + (peak - floor) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return cosine * min(1.0, (step + 1) / max(1, warmup))
