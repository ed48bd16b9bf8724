"""Measure every method on still faces, degraded ones with ground truth and real ones without.

Real low-resolution faces have no ground truth, so the set of results of each method is compared
with a set of photographs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from crsr_video.errors import TrainingError
from crsr_video.evaluation.methods import BASELINE, EvaluatedMethod
from crsr_video.evaluation.metrics import (
    CANONICAL,
    Features,
    face_region,
    frechet_distance,
    kid,
    ssim,
    unit_rms,
)
from crsr_video.evaluation.models import MetricModels, same_person
from crsr_video.evaluation.report import Row
from crsr_video.evaluation.samples import (
    DRAWN,
    REFERENCE_SIDE,
    TIERS,
    Degrader,
    FaceSample,
    as_bytes,
    as_tensor,
    batches,
    reference,
    samples,
)
from crsr_video.imaging.psnr import psnr
from crsr_video.track.recognition import cosine
from crsr_video.training.appearance import colour_difference
from crsr_video.training.genuine import Framing, Genuine

Values = NDArray[np.float64]
Scores = dict[str, Values]
"""One value per face, (N,), by name of the measure."""

HIGHER_IS_BETTER = {"psnr", "ssim", "same", "confidence"}
WORST_SHARE = 0.05
"""Share of the faces that count as the worst."""
_BATCH_PIXELS = 2**19
"""High-resolution pixels in a batch. Larger batches are not faster on a CPU."""


def measure_paired(
    methods: Sequence[EvaluatedMethod],
    folder: Path,
    models: MetricModels,
    *,
    tiers: Sequence[int] = TIERS,
    limit: int | None = None,
    seed: int = 0,
    framing: Framing = CANONICAL,
    degradations: Mapping[str, Degrader] = DRAWN,
    by_tone: bool = False,
    progress: bool = False,
) -> list[Row]:
    """Measure every method on every face of the held-out set, and return the mean results.

    Args:
        methods: Methods to compare. The first one is the baseline.
        folder: Folder of prepared faces.
        models: Networks that measure the results.
        tiers: Input sizes in pixels.
        limit: Maximum number of faces for each input size.
        seed: Seed of the degradations.
        framing: Part of the head that the methods were trained to see.
        degradations: Functions that degrade faces, by name of the degradation.
        by_tone: Add rows for each group of skin tones.
        progress: Show a progress bar.
    """
    rows: list[Row] = []
    for tier in tiers:
        faces = samples(folder, tier, limit, seed, framing=framing, degradations=degradations)
        joined, tones = measure_faces(methods, faces, models, tier, framing, progress=progress)
        groups = {"": np.ones(len(tones), bool)}
        if by_tone:
            groups |= {f", {tone}": np.array(tones) == tone for tone in dict.fromkeys(tones)}
        for suffix, chosen in groups.items():
            for (kind, name), scores in joined.items():
                own, baseline = (
                    {measure: values[chosen] for measure, values in some.items()}
                    for some in (scores, joined[kind, methods[0].name])
                )
                rows.append(_row(tier, kind + suffix, name, own, baseline))
    return rows


def measure_faces(
    methods: Sequence[EvaluatedMethod],
    faces: Iterator[FaceSample],
    models: MetricModels,
    tier: int,
    framing: Framing,
    *,
    progress: bool = False,
) -> tuple[dict[tuple[str, str], Scores], list[str]]:
    """Measure every method on every face of one input size.

    Returns:
        The scores by degradation and name of the method, and the skin tone of each face.
    """
    found: dict[tuple[str, str], list[Scores]] = {}
    tones: list[str] = []
    parts = batches(faces, max(1, _BATCH_PIXELS // (4 * tier) ** 2))
    for batch in tqdm(parts, f"{tier} px", unit="batch", disable=not progress):
        comparison = _Comparison(batch.truth, models, framing)
        tones += batch.tones
        for kind, inputs in batch.inputs.items():
            for method in methods:
                with models.timed(f"running {method.name}"):
                    results = method.run(inputs)
                found.setdefault((kind, method.name), []).append(comparison.scores(results))
    joined = {
        key: {name: np.concatenate([s[name] for s in scores]) for name in scores[0]}
        for key, scores in found.items()
    }
    return joined, tones


class _Comparison:
    """Compares results with a batch of ground truth. Features of the truth are computed once."""

    def __init__(self, truth: Tensor, models: MetricModels, framing: Framing) -> None:
        self._truth, self._models, self._framing = truth, models, framing
        self._region = face_region(truth, framing)
        if models.embedder:
            with models.timed("identity"):
                self._embedded = models.embedder(truth, framing)
        if models.analyser:
            with models.timed("landmarks"):
                self._landmarks = [models.analyser.landmarks(picture) for picture in truth]
        if models.st_lpips:
            with models.timed("st-lpips"):
                self._features = models.st_lpips.features(self._region)

    @torch.inference_mode()
    def scores(self, results: Tensor) -> Scores:
        models, timed = self._models, self._models.timed
        region = face_region(results, self._framing)
        found: Scores = {}
        for name, measure in (("psnr", psnr), ("ssim", ssim)):
            with timed(name):
                found[name] = measure(region, self._region).double().numpy()
        if models.st_lpips:
            with timed("st-lpips"):
                found["st_lpips"] = models.st_lpips(region, self._features).double().numpy()
        if self._framing == CANONICAL:
            with timed("colour"):
                pairs = zip(map(as_bytes, results), map(as_bytes, self._truth), strict=True)
                differences = np.array([colour_difference(*pair) for pair in pairs])
                found["skin"], found["iris"] = differences.T
        if models.embedder:
            with timed("identity"):
                embedded = models.embedder(results, self._framing)
            found["identity"] = np.linalg.norm(embedded - self._embedded, axis=1)
            found["same"] = same_person(embedded, self._embedded).astype(np.float64)
        if models.analyser:
            with timed("landmarks"):
                seen = zip(results, self._landmarks, strict=True)
                found["landmarks"] = np.array([models.analyser.distance(*one) for one in seen])
            with timed("detector"):
                found["confidence"] = np.array([models.analyser.confidence(r) for r in results])
        return found


def _row(tier: int, kind: str, name: str, scores: Scores, baseline: Scores) -> Row:
    figures = {measure: float(values.mean()) for measure, values in scores.items()}
    figures |= {f"{m}_worst": worst(v, m in HIGHER_IS_BETTER) for m, v in scores.items()}
    figures.pop("same_worst", None)  # A share computed over only a few faces means nothing.
    if name != BASELINE:
        gains = scores["psnr"] - baseline["psnr"]
        figures |= {"gain": float(gains.mean()), "better": float((gains > 0).mean())}
    return Row(tier, kind, name, len(scores["psnr"]), figures)


def worst(values: Values, higher_is_better: bool) -> float:
    """Return the mean of the worst 5 % of the values, but of at least one value."""
    ordered = np.sort(values) if higher_is_better else np.sort(values)[::-1]
    return float(ordered[: max(1, round(WORST_SHARE * len(values)))].mean())


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


def measure_genuine(
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
