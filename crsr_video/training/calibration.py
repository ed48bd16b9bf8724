"""Calibrate networks for int8: measure the ranges of activations, and the loss of PSNR."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.files import write_file
from crsr_video.imaging.psnr import psnr
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.networks.fused import FusedNetwork
from crsr_video.networks.plan import InferenceNetwork, run_steps
from crsr_video.networks.quantised import QuantisedNetwork, RangeObserver, Ranges
from crsr_video.runtime import placement as devices
from crsr_video.training.data import Faces, Tier, batch
from crsr_video.training.degrade import FACTOR, clean, degrade
from crsr_video.weights import TEXTURED, NetworkPair

MEAN_COST, WORST_COST = 0.05, 0.2
"""Maximum loss of PSNR against the truth in dB, on average and for any picture. They are a fortieth
and a tenth of the gain of the networks."""

SIDES = (32, 64, 128)
"""Sides of the crops in pixels."""


@dataclass(frozen=True, slots=True)
class CalibrationSample:
    """Pictures on which a pair of networks is measured."""

    seen: Tensor
    """float32 (N, 3, S, S) in [0, 1]."""
    truth: Tensor
    """(N, 3, 4S, 4S)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Comparison of a pair in int8 with the same pair in bf16, in dB, over all pictures."""

    worst: float
    """Lowest PSNR between the two outputs."""
    median: float
    mean_cost: float
    worst_cost: float
    pictures: int

    def __str__(self) -> str:
        return (
            f"{self.worst:.1f} dB at worst, {self.median:.1f} dB in the median; against the truth "
            f"int8 costs {self.mean_cost:.3f} dB, {self.worst_cost:.2f} dB at worst, of "
            f"{self.pictures} pictures"
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """Ranges of a pair, and the loss of int8 with these ranges on held-out faces."""

    ranges: dict[str, Ranges]
    """Lowest and highest values by network and step."""
    usual: Agreement
    textured: Agreement
    """Comparison with full texture, or `usual` for a pair without a texture head."""

    @property
    def is_good(self) -> bool:
        """Whether the pair may run in int8."""
        return all(
            a.mean_cost <= MEAN_COST and a.worst_cost <= WORST_COST
            for a in (self.usual, self.textured)
        )


def calibrate(pair: NetworkPair, faces: Path, rounds: int = 8) -> Calibration:
    """Measure the ranges of a pair on training faces, and the loss of int8 on held-out ones.

    Args:
        pair: Networks with weights.
        faces: A pack of faces.
        rounds: Number of samples per crop size, of four faces each.

    Raises:
        TrainingError: The pair has networks of another kind, the processor has no int8
            instructions, or the pack has no face that is large enough.
    """
    _networks(pair)
    if not devices.place("cpu").int8:
        raise TrainingError("this processor cannot compute in int8: it has no VNNI instructions")
    rng = np.random.default_rng(1)
    samples = crops(Faces(faces, "train"), rng, rounds)
    held_out = crops(Faces(faces, "val"), rng, rounds)
    full = pair.with_texture(1.0)
    if pair.textured is None:
        ranges = measure([full], samples)
        usual = compare(pair, ranges, held_out)
        textured = compare(full, ranges, held_out) if pair.has_texture else usual
        return Calibration(ranges, usual, textured)
    plain = measure([pair], samples)
    # Any texture between 0 and 1 runs with the ranges of the textured pair.
    full_ranges = measure([pair, pair.with_texture(0.5), full], samples)
    textured = compare(full, full_ranges, held_out)
    ranges = plain | {f"{TEXTURED}{name}": steps for name, steps in full_ranges.items()}
    return Calibration(ranges, compare(pair, plain, held_out), textured)


def crops(faces: Faces, rng: np.random.Generator, rounds: int) -> list[CalibrationSample]:
    """Draw samples of one size each, with three degraded faces and a clean one.

    Raises:
        TrainingError: No face is large enough.
    """
    made = []
    sides = [side for side in SIDES if faces.count(side * FACTOR)]
    if not sides:
        raise TrainingError(
            f"no face is large enough to calibrate with: {FACTOR * SIDES[0]} pixels are needed"
        )
    for _ in range(rounds):
        for side in sides:
            targets = batch(faces, Tier(side, side, 4, 1.0), rng)
            seen = torch.cat([degrade(targets[:3], rng), clean(targets[3:])])
            made.append(CalibrationSample(seen, targets))
    return made


@torch.inference_mode()
def measure(
    pairs: Sequence[NetworkPair], samples: Sequence[CalibrationSample]
) -> dict[str, Ranges]:
    """Return the ranges of both networks by name, over all pairs, rounded to six decimals.

    Raises:
        TrainingError: A pair has networks of another kind.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {"consistifier": {}, "superresolver": {}}
    for first, second in map(_networks, pairs):
        observers = RangeObserver(first), RangeObserver(second)
        for sample in samples:
            run_steps(first, observers[0], sample.seen)
            run_steps(second, observers[1], first(sample.seen).clamp(0, 1))
        for known, observer in zip(found.values(), observers, strict=True):
            for step, (low, high) in observer.ranges.items():
                before = known.get(step, (low, high))
                known[step] = round(min(before[0], low), 6), round(max(before[1], high), 6)
    return dict(found)


@torch.inference_mode()
def compare(
    pair: NetworkPair, ranges: Mapping[str, Ranges], samples: Iterable[CalibrationSample]
) -> Agreement:
    """Compare the pair in int8 with the pair in bf16."""
    first, second = _networks(pair)
    fine = [FusedNetwork(first, torch.bfloat16), FusedNetwork(second, torch.bfloat16)]
    coarse = [
        QuantisedNetwork(first, ranges["consistifier"]),
        QuantisedNetwork(second, ranges["superresolver"]),
    ]
    similarities, costs = [], []
    for sample in samples:
        rough, good = _chain(coarse, sample.seen), _chain(fine, sample.seen)
        similarities.append(psnr(rough, good))
        costs.append(psnr(good, sample.truth) - psnr(rough, sample.truth))
    similarity, cost = torch.cat(similarities), torch.cat(costs)
    return Agreement(
        worst=float(similarity.min()),
        median=float(similarity.median()),
        mean_cost=float(cost.mean()),
        worst_cost=float(cost.max()),
        pictures=len(similarity),
    )


def _chain(pair: list[FusedNetwork] | list[QuantisedNetwork], picture: Tensor) -> Tensor:
    return pair[1](pair[0](picture).clamp_(0, 1))


def _networks(pair: NetworkPair) -> tuple[InferenceNetwork, InferenceNetwork]:
    if isinstance(pair.consistifier, Consistifier) and isinstance(
        pair.superresolver, SuperResolver
    ):
        return pair.consistifier, pair.superresolver
    raise TrainingError(f"the weights '{pair.name}' have no networks to calibrate")


def write(path: Path, sha256: str, ranges: Mapping[str, Ranges]) -> None:
    """Add ranges to a calibration file, and keep those of other weights.

    Args:
        path: The calibration file.
        sha256: Hash of the weights.
        ranges: Lowest and highest values by network and step.

    Raises:
        TrainingError: The file is damaged, or cannot be written.
    """
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known[sha256] = ranges
        write_file(path, [f"{json.dumps(known, indent=1)}\n".encode()])
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"cannot add to '{path}': {error}") from error
