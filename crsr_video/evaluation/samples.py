"""The faces that are measured, and what is made of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.evaluation.degradations import DRAWN, Degrader
from crsr_video.evaluation.framings import CANONICAL
from crsr_video.training.appearance import tone_group
from crsr_video.training.data import Faces, shrink
from crsr_video.training.degrade import FACTOR
from crsr_video.training.genuine import Framing, framed
from crsr_video.training.pack import read_index

PAPER_TIER = 16
"""The paper's protocol: 16 to 64 pixels."""
TIERS = (32, 64, 128)
"""The product's."""

REFERENCE_SIDE = 256
"""Sets are compared at this size at the most: the recognition network sees no more
(`identity.USEFUL_CROP_PX`), and there are more faces of this size than of twice as much."""

Bytes = NDArray[np.uint8]
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Sample:
    """One face of the validation split at one tier."""

    file: str
    """Of the picture, below its source folder."""
    kind: str
    """Real or synthetic."""
    tone: str
    """Skin tone group, see `training.appearance`; "unknown" if it was not measured."""
    truth: Tensor
    """(1, 3, 4T, 4T) in [0, 1]."""
    inputs: dict[str, Tensor]
    """By name of the degradation, (1, 3, T, T)."""


@dataclass(frozen=True)
class Batch:
    """Faces that go through the networks together."""

    truth: Tensor
    """(N, 3, 4T, 4T) in [0, 1]."""
    inputs: dict[str, Tensor]
    """By name of the degradation, (N, 3, T, T)."""
    tones: list[str]
    """Skin tone group of each face."""


def samples(
    folder: Path,
    tier: int,
    limit: int | None = None,
    seed: int = 0,
    kind: str = "",
    framing: Framing = CANONICAL,
    degradations: Mapping[str, Degrader] = DRAWN,
) -> Iterator[Sample]:
    """Validation faces with inputs that depend on the seed and the picture alone.

    Args:   folder: made by `prepare`.
            limit: take this many faces, spread over all that are large enough.
            kind: "real" or "synthetic": only such faces.
            framing: cut like this.
            degradations: how inputs are made, by name.
    Raises: TrainingError: no prepared face is large enough.
    """
    side = tier * FACTOR
    whole = math.ceil(side / framing.scale)
    chosen = _large(folder, "val", whole, kind)
    if not chosen:
        raise TrainingError(f"no validation face is {side} pixels wide")
    faces = Faces(folder, "val")
    for number in spaced(list(chosen), limit):
        picture = faces.at(number, whole)
        same = framing == CANONICAL
        truth = as_tensor(shrink(picture, side) if same else framed(picture, side, framing))[None]
        inputs = {
            name: make(truth, np.random.default_rng((seed, tier, number)))
            for name, make in degradations.items()
        }
        yield Sample(*chosen[number], truth, inputs)


def batches(found: Iterator[Sample], size: int) -> Iterator[Batch]:
    """The same faces, up to `size` at a time."""
    group: list[Sample] = []
    for sample in found:
        group.append(sample)
        if len(group) == size:
            yield _joined(group)
            group = []
    if group:
        yield _joined(group)


def _joined(group: list[Sample]) -> Batch:
    inputs = {name: torch.cat([s.inputs[name] for s in group]) for name in group[0].inputs}
    return Batch(torch.cat([s.truth for s in group]), inputs, [s.tone for s in group])


def reference(
    folder: Path, side: int, count: int, framing: Framing = CANONICAL
) -> Iterator[Tensor]:
    """Photographs that sets of results are compared with, in order; each (1, 3, side, side).

    Of both splits, for a reference must be large, and its persons are not those of the input.
    Args:   side: at most `REFERENCE_SIDE`.
            count: take this many, spread over all that are large enough.
            framing: cut like this.
    Raises: TrainingError: there is none.
    """
    whole = round(side / framing.scale)
    groups = {split: _large(folder, split, whole, "real") for split in ("train", "val")}
    wanted = [(split, number) for split, chosen in groups.items() for number in chosen]
    if not wanted:
        raise TrainingError(f"no photograph in {folder} is {whole} pixels wide")
    faces = {split: Faces(folder, split) for split, _ in wanted}
    for split, number in spaced(wanted, count):
        yield as_tensor(framed(faces[split].at(number, whole), side, framing))[None]


def _large(folder: Path, split: str, side: int, kind: str = "") -> dict[int, tuple[str, str, str]]:
    """File, kind and skin tone of the faces that are large enough, by their number in `Faces`."""
    entries = sorted(
        (e for e in read_index(folder) if e.split == split and e.size >= side),
        key=lambda e: (e.size, e.row),  # the order in which `Faces.at` counts
    )
    found = enumerate(entries)
    return {
        number: (e.file, e.kind, "unknown" if e.skin_ita is None else tone_group(e.skin_ita))
        for number, e in found
        if kind in ("", e.kind)
    }


def spaced(things: Sequence[Thing], count: int | None) -> list[Thing]:
    """At most `count` of them, evenly spread, in order; all if None."""
    wanted = min(count or len(things), len(things))
    places = np.linspace(0, len(things) - 1, wanted).round().astype(int)
    return [things[place] for place in places]


def as_tensor(picture: Bytes) -> Tensor:
    """uint8 (H, W, 3) to float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255


def as_bytes(picture: Tensor) -> Bytes:
    """(3, H, W) in [0, 1] to uint8 (H, W, 3)."""
    values: Bytes = picture.float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    return values
