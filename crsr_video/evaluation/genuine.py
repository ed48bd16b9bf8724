"""Evaluation on real low-resolution faces, which have no ground truth.

The set of results of each method is compared with a set of photographs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from crsr_video.errors import TrainingError
from crsr_video.evaluation.methods import EvaluatedMethod
from crsr_video.evaluation.metrics import (
    CANONICAL,
    Features,
    frechet_distance,
    kid,
    unit_rms,
)
from crsr_video.evaluation.models import MetricModels, same_person
from crsr_video.evaluation.paired import worst
from crsr_video.evaluation.report import Row
from crsr_video.evaluation.samples import REFERENCE_SIDE, TIERS, as_tensor, reference
from crsr_video.track.recognition import cosine
from crsr_video.training.genuine import Framing, Genuine

FeatureSets = dict[str, Features]
"""Features by name, with a row for each picture."""

COUNT = 1000
"""Default limit of the number of photographs, and of faces of each file and input size."""
_BATCH = 8


@dataclass(frozen=True)
class GenuineFaces:
    """One file of real low-resolution faces."""

    name: str
    source: Genuine
    framing: Framing = CANONICAL


def measure(
    methods: Sequence[EvaluatedMethod],
    genuine: Sequence[GenuineFaces],
    folder: Path,
    models: MetricModels,
    *,
    tiers: Sequence[int] = TIERS,
    count: int = COUNT,
    references: int = COUNT,
    splits: Sequence[str] = ("train", "val"),
    progress: bool = False,
) -> list[Row]:
    """Run every method on real low-resolution faces.

    Args:
        methods: Methods. The first one is the baseline, whose results show the input.
        genuine: Files of faces.
        folder: Prepared faces, whose photographs are the reference.
        models: Models that measure results.
        tiers: Input sizes in pixels.
        count: Limit of the number of faces of each file and input size.
        references: Number of photographs.
        splits: Splits that the photographs come from.
        progress: Show a progress bar.

    Raises:
        TrainingError: If no file has faces of any size, or there is no photograph.
    """
    rows: list[Row] = []
    for tier in tiers:
        known: dict[Framing, FeatureSets] = {}
        for faces in genuine:
            if faces.source.count(tier) < 3:
                models.notes.append(f"{faces.name} has no faces of about {tier} pixels")
                continue
            if faces.framing not in known:
                pictures = reference(
                    folder, min(4 * tier, REFERENCE_SIDE), references, faces.framing, splits=splits
                )
                shown = tqdm(pictures, f"reference, {tier} px", references, disable=not progress)
                parts = [_features(p, faces.framing, models) for p in shown]
                known[faces.framing] = _joined(parts)
            found = _results(methods, faces, tier, count, models, progress)
            shown_input = found[methods[0].name]
            rows += [
                Row(tier, faces.name, name, len(next(iter(results.values()))), figures)
                for name, results in found.items()
                if (figures := _figures(results, shown_input, known[faces.framing]))
            ]
    if not rows:
        raise TrainingError(f"no genuine faces of {', '.join(map(str, tiers))} pixels")
    return rows


def _results(
    methods: Sequence[EvaluatedMethod],
    faces: GenuineFaces,
    tier: int,
    count: int,
    models: MetricModels,
    progress: bool,
) -> dict[str, FeatureSets]:
    found: dict[str, list[FeatureSets]] = {method.name: [] for method in methods}
    inputs = torch.stack([as_tensor(face) for face in faces.source.all(tier, count)])
    groups = torch.split(inputs, _BATCH)
    for low in tqdm(groups, f"{faces.name}, {tier} px", unit="batch", disable=not progress):
        for method in methods:
            with models.timed(f"running {method.name}"):
                made = method.run(low)
            part = _features(made, faces.framing, models)
            if models.analyser:
                with models.timed("detector"):
                    sure = [models.analyser.confidence(picture) for picture in made]
                part["confidence"] = np.array(sure)
            found[method.name].append(part)
    return {name: _joined(parts) for name, parts in found.items()}


def _features(pictures: Tensor, framing: Framing, models: MetricModels) -> FeatureSets:
    """Return all features of pictures (N, 3, S, S) in [0, 1], shrunk to the reference size."""
    found: FeatureSets = {}
    factor = pictures.shape[-1] // REFERENCE_SIDE
    seen = functional.avg_pool2d(pictures, factor) if factor > 1 else pictures
    if models.embedder:
        with models.timed("identity"):
            found["embedding"] = models.embedder(seen, framing)
    return found


def _joined(parts: Sequence[FeatureSets]) -> FeatureSets:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _figures(results: FeatureSets, shown: FeatureSets, known: FeatureSets) -> dict[str, float]:
    """Return the measures of the results of a method.

    Args:
        results: Features of the results.
        shown: Features of the input after bicubic enlargement.
        known: Features of the photographs.
    """
    figures: dict[str, float] = {}
    if "embedding" in results:
        made, wanted = results["embedding"], known["embedding"]
        figures["frechet"] = frechet_distance(made, wanted)
        figures["kid"], figures["kid_error"] = kid(unit_rms(made), unit_rms(wanted))
        similarity = cosine(made, shown["embedding"])
        figures["identity"], figures["identity_worst"] = similarity.mean(), worst(similarity, True)
        figures["same"] = same_person(made, shown["embedding"]).mean()
    if "confidence" in results:
        figures["confidence"] = results["confidence"].mean()
        figures["confidence_worst"] = worst(results["confidence"], True)
    return {name: float(value) for name, value in figures.items()}
