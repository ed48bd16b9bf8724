"""Genuine low resolution, of which no truth is known: sets of results against photographs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from crsr_video.errors import TrainingError
from crsr_video.evaluation.distances import frechet_distance, kid, spread
from crsr_video.evaluation.framings import CANONICAL
from crsr_video.evaluation.identity import cosine, same_person
from crsr_video.evaluation.instruments import Instruments
from crsr_video.evaluation.methods import Method
from crsr_video.evaluation.paired import worst
from crsr_video.evaluation.report import Row
from crsr_video.evaluation.samples import REFERENCE_SIDE, TIERS, Bytes, as_tensor, reference
from crsr_video.training.genuine import Framing

Features = NDArray[np.float64]
Found = dict[str, Features]
"""By measure, a row for each picture."""

COUNT = 1000
"""Pictures in the reference, and genuine faces of a file and tier."""
_BATCH = 8


class Source(Protocol):
    """What is needed of a file of genuine faces, see `training.genuine`."""

    def count(self, size: int) -> int:
        """How many faces there are for inputs of `size` pixels."""

    def all(self, size: int, limit: int | None = None) -> Iterator[Bytes]:
        """At most `limit` of them, uint8 (size, size, 3) RGB."""


@dataclass(frozen=True)
class GenuineFaces:
    """One file of them."""

    name: str
    source: Source
    framing: Framing = CANONICAL


def measure(
    methods: Sequence[Method],
    genuine: Sequence[GenuineFaces],
    folder: Path,
    instruments: Instruments,
    *,
    tiers: Sequence[int] = TIERS,
    count: int = COUNT,
    references: int = COUNT,
    progress: bool = False,
) -> list[Row]:
    """Run every method on genuine faces.

    Args:   folder: prepared faces, whose photographs are the reference.
            count: faces of each file and tier. references: pictures of the reference.
            progress: draw a progress bar on standard error.
    Raises: TrainingError: no file has faces for any tier, or there is no photograph.
    """
    rows: list[Row] = []
    for tier in tiers:
        known: dict[Framing, Found] = {}
        for faces in genuine:
            if faces.source.count(tier) < 3:
                instruments.notes.append(f"{faces.name} holds no faces of about {tier} pixels")
                continue
            if faces.framing not in known:
                pictures = reference(folder, _side(tier), references, faces.framing)
                shown = tqdm(pictures, f"reference, {tier} px", references, disable=not progress)
                parts = [_features(p, faces.framing, instruments) for p in shown]
                known[faces.framing] = _joined(parts)
            found = _results(methods, faces, tier, count, instruments, progress)
            shown_input = found[methods[0].name]
            rows += [
                Row(tier, faces.name, name, len(next(iter(results.values()))), figures)
                for name, results in found.items()
                if (figures := _figures(results, shown_input, known[faces.framing]))
            ]
    if not rows:
        raise TrainingError(f"no genuine faces of {', '.join(map(str, tiers))} pixels")
    return rows


def _side(tier: int) -> int:
    """At which sets are compared."""
    return min(4 * tier, REFERENCE_SIDE)


def _results(
    methods: Sequence[Method],
    faces: GenuineFaces,
    tier: int,
    count: int,
    instruments: Instruments,
    progress: bool,
) -> dict[str, Found]:
    """All methods on one file; the first, bicubic, shows the input itself."""
    found: dict[str, list[Found]] = {method.name: [] for method in methods}
    inputs = torch.stack([as_tensor(face) for face in faces.source.all(tier, count)])
    groups = torch.split(inputs, _BATCH)
    for low in tqdm(groups, f"{faces.name}, {tier} px", unit="batch", disable=not progress):
        for method in methods:
            with instruments.timed(f"running {method.name}"):
                made = method.run(low)
            part = _features(made, faces.framing, instruments)
            if instruments.reader:
                with instruments.timed("detector"):
                    sure = [instruments.reader.confidence(picture) for picture in made]
                part["confidence"] = np.array(sure)
            found[method.name].append(part)
    return {name: _joined(parts) for name, parts in found.items()}


def _features(pictures: Tensor, framing: Framing, instruments: Instruments) -> Found:
    """Of (N, 3, S, S) in [0, 1], in every space that there is, at the reference's size."""
    found: Found = {}
    factor = pictures.shape[-1] // REFERENCE_SIDE
    seen = functional.avg_pool2d(pictures, factor) if factor > 1 else pictures
    if instruments.embedder:
        with instruments.timed("identity"):
            found["embedding"] = instruments.embedder(seen, framing)
    if instruments.inception:
        with instruments.timed("inception"):
            found["inception"] = instruments.inception(seen)
    return found


def _joined(parts: Sequence[Found]) -> Found:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _figures(results: Found, shown: Found, known: Found) -> dict[str, float]:
    """What can be said of a method's results. Args: shown: the input, enlarged bicubically."""
    figures: dict[str, float] = {}
    if "embedding" in results:
        made, wanted = results["embedding"], known["embedding"]
        figures["frechet"] = frechet_distance(made, wanted)
        figures["kid"], figures["kid_error"] = kid(spread(made), spread(wanted))
        likeness = cosine(made, shown["embedding"])
        figures["identity"], figures["identity_worst"] = likeness.mean(), worst(likeness, True)
        figures["same"] = same_person(made, shown["embedding"]).mean()
    if "inception" in results:
        figures["inception"] = frechet_distance(results["inception"], known["inception"])
    if "confidence" in results:
        figures["confidence"] = results["confidence"].mean()
        figures["confidence_worst"] = worst(results["confidence"], True)
    return {name: float(value) for name, value in figures.items()}
