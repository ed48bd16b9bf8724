"""The faces that are measured, and what is made of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.training.data import Faces, shrink
from crsr_video.training.degrade import FACTOR, clean, degrade
from crsr_video.training.prepare import Prepared, read_index

TIERS = (32, 64, 128)
INPUTS = ("clean", "degraded")


@dataclass(frozen=True)
class Sample:
    """One face of the validation split at one tier."""

    entry: Prepared
    truth: Tensor
    """(1, 3, 4T, 4T) in [0, 1]."""
    inputs: dict[str, Tensor]
    """Each of `INPUTS`, (1, 3, T, T)."""


def samples(folder: Path, tier: int, limit: int | None = None, seed: int = 0) -> Iterator[Sample]:
    """Validation faces with inputs that depend on the seed and the picture alone.

    Args:   folder: made by `prepare`.
            limit: take this many faces, spread over all that are large enough.
    Raises: TrainingError: no prepared face is large enough.
    """
    side = tier * FACTOR
    faces = Faces(folder, "val")
    # In the order in which `Faces.at` counts.
    entries = sorted(
        (e for e in read_index(folder) if e.split == "val" and e.size >= side),
        key=lambda e: (e.size, e.row),
    )
    if not entries:
        raise TrainingError(f"no validation face is {side} pixels wide")
    count = min(limit or len(entries), len(entries))
    for number in np.linspace(0, len(entries) - 1, count).round().astype(int):
        picture = shrink(faces.at(int(number), side), side)
        truth = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        rng = np.random.default_rng((seed, tier, int(number)))
        inputs = {"clean": clean(truth), "degraded": degrade(truth, rng)}
        yield Sample(entries[number], truth, inputs)
