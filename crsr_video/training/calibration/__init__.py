"""Measure, on faces, what eight-bit inference must know of trained networks, and what it costs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.files import write_file
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.networks.fused import Fused
from crsr_video.networks.plan import Walkable, walk
from crsr_video.networks.quantised import Observer, Quantised, Ranges
from crsr_video.runtime import placement as devices
from crsr_video.training.data import Faces, Tier, batch
from crsr_video.training.degrade import FACTOR, clean, degrade
from crsr_video.weights import Pair

MEAN_COST, WORST_COST = 0.05, 0.2
"""dB of PSNR, against the truth, that eight bits may cost on average, and of any one picture: a
fortieth and a tenth of what the networks gain."""

_SIDES = (32, 64, 128)
"""Of crops that run in eight bits, see `MOST_INT8_PIXELS`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Pictures that the pair is tried on."""

    seen: Tensor
    """float32 (N, 3, S, S) in [0, 1]."""
    truth: Tensor
    """(N, 3, 4S, 4S)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The eight-bit pair against the one in bf16, in dB, over all pictures."""

    worst: float
    """Least PSNR of one against the other."""
    median: float
    mean_cost: float
    """PSNR that is lost against the truth."""
    worst_cost: float
    pictures: int

    def __str__(self) -> str:
        return (
            f"{self.worst:.1f} dB at worst, {self.median:.1f} dB in the median; against the truth "
            f"it costs {self.mean_cost:.3f} dB, {self.worst_cost:.2f} dB at worst, "
            f"of {self.pictures} pictures"
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """Ranges of a pair, and what eight bits by them cost on faces that were not measured."""

    ranges: dict[str, dict[str, list[float]]]
    """By network, by step: lowest and highest."""
    usual: Agreement
    strange: Agreement
    """In a light that is far from the usual."""

    @property
    def good(self) -> bool:
        """Whether the pair may run in eight bits."""
        return self.usual.mean_cost <= MEAN_COST and self.usual.worst_cost <= WORST_COST


def calibrate(pair: Pair, faces: Path, rounds: int = 8) -> Calibration:
    """Measure a pair on the faces of a pack, and what eight bits cost on those held out.

    Args:   rounds: of twelve faces each.
    Raises: TrainingError: the pair has other networks, the processor cannot do it, or the pack
            lacks faces.
    """
    _networks(pair)
    if not devices.place("cpu").int8:
        raise TrainingError("this processor cannot compute in eight bits (VNNI)")
    rng = np.random.default_rng(1)
    ranges = measure(pair, crops(Faces(faces, "train"), rng, rounds))
    fixed = {name: {k: (v[0], v[1]) for k, v in own.items()} for name, own in ranges.items()}
    held_out = crops(Faces(faces, "val"), rng, rounds)
    usual = compare(pair, fixed, held_out)
    return Calibration(ranges, usual, compare(pair, fixed, strange(held_out, rng)))


def crops(faces: Faces, rng: np.random.Generator, rounds: int) -> list[Sample]:
    """Small faces as cameras and codecs leave them, and clean ones; four each.

    Raises: TrainingError: no face is large enough.
    """
    made = []
    sides = [side for side in _SIDES if faces.count(side * FACTOR)]
    if not sides:
        raise TrainingError(f"no face is large enough to measure: {FACTOR * _SIDES[0]} pixels")
    for _ in range(rounds):
        for side in sides:
            targets = batch(faces, Tier(side, side, 4, 1.0), rng)
            seen = torch.cat([degrade(targets[:3], rng), clean(targets[3:])])
            made.append(Sample(seen, targets))
    return made


def strange(samples: Iterable[Sample], rng: np.random.Generator) -> list[Sample]:
    """The same, darker, brighter, flatter and harder than is usual."""
    return [_strange(sample, rng) for sample in samples]


def _strange(sample: Sample, rng: np.random.Generator) -> Sample:
    """Contrast and brightness far from the usual."""
    gain, centre = float(rng.uniform(0.3, 1.7)), float(rng.uniform(0.2, 0.8))
    return Sample(*(((x - 0.5) * gain + centre).clamp_(0, 1) for x in (sample.seen, sample.truth)))


@torch.inference_mode()
def measure(pair: Pair, samples: Iterable[Sample]) -> dict[str, dict[str, list[float]]]:
    """Ranges of both networks, six decimals.

    Raises: TrainingError: the pair has other networks.
    """
    first, second = _networks(pair.with_texture(1.0))
    observers = Observer(first), Observer(second)
    for sample in samples:
        walk(first, observers[0], sample.seen)
        walk(second, observers[1], first(sample.seen).clamp(0, 1))
    return {
        name: {step: [round(low, 6), round(high, 6)] for step, (low, high) in o.ranges.items()}
        for name, o in zip(("consistifier", "superresolver"), observers, strict=True)
    }


@torch.inference_mode()
def compare(pair: Pair, ranges: Mapping[str, Ranges], samples: Iterable[Sample]) -> Agreement:
    """The pair in eight bits against the pair in bf16."""
    first, second = _networks(pair)
    fine = [Fused(first, torch.bfloat16), Fused(second, torch.bfloat16)]
    coarse = [
        Quantised(first, ranges["consistifier"]),
        Quantised(second, ranges["superresolver"]),
    ]
    apart, costs = [], []
    for sample in samples:
        rough, good = _chain(coarse, sample.seen), _chain(fine, sample.seen)
        apart.append(_psnr(rough, good))
        costs.append(_psnr(good, sample.truth) - _psnr(rough, sample.truth))
    away, cost = torch.cat(apart), torch.cat(costs)
    return Agreement(
        worst=float(away.min()),
        median=float(away.median()),
        mean_cost=float(cost.mean()),
        worst_cost=float(cost.max()),
        pictures=len(away),
    )


def _chain(pair: list[Fused] | list[Quantised], picture: Tensor) -> Tensor:
    return pair[1](pair[0](picture).clamp_(0, 1))


def _psnr(a: Tensor, b: Tensor) -> Tensor:
    return -10 * (a - b).square().mean((1, 2, 3)).clamp_min(1e-12).log10()


def _networks(pair: Pair) -> tuple[Walkable, Walkable]:
    if isinstance(pair.consistifier, Consistifier) and isinstance(
        pair.superresolver, SuperResolver
    ):
        return pair.consistifier, pair.superresolver
    raise TrainingError(f"the weights '{pair.name}' hold no networks that could be measured")


def write(path: Path, sha256: str, ranges: Mapping[str, Mapping[str, list[float]]]) -> None:
    """Add ranges to a file of them, for the weights of that hash, keeping those of others.

    Raises: TrainingError: the file is damaged, or cannot be written.
    """
    try:
        known = json.loads(path.read_text()) if path.exists() else {}
        known[sha256] = ranges
        write_file(path, [f"{json.dumps(known, indent=1)}\n".encode()])
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"cannot add to '{path}': {error}") from error
