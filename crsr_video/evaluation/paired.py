"""Measure every method on degraded faces with ground truth, face by face."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from crsr_video.evaluation.degradations import DRAWN, Degrader
from crsr_video.evaluation.identity import Embeddings, same_person
from crsr_video.evaluation.instruments import Instruments
from crsr_video.evaluation.landmarks import Landmarks
from crsr_video.evaluation.methods import BASELINE, Method
from crsr_video.evaluation.metrics import CANONICAL, face_region, psnr, ssim
from crsr_video.evaluation.perceptual import gmsd
from crsr_video.evaluation.report import Row
from crsr_video.evaluation.samples import TIERS, Batch, as_bytes, batches, samples
from crsr_video.training.appearance import colour_difference
from crsr_video.training.genuine import Framing

Values = NDArray[np.float64]
Scores = dict[str, Values]

HIGHER_IS_BETTER = {"psnr", "ssim", "same", "confidence"}
WORST_SHARE = 0.05
"""Share of the faces that count as the worst."""
_BATCH_PIXELS = 2**19
"""High-resolution pixels in a batch. Larger batches are not faster on a CPU."""


def measure(
    methods: Sequence[Method],
    folder: Path,
    instruments: Instruments,
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
        instruments: Models with which results are measured.
        tiers: Input sizes in pixels.
        limit: Maximum number of faces for each input size.
        seed: Seed of the degradations.
        framing: Part of the head that the methods were trained to see.
        degradations: Functions that degrade faces, by name of the degradation.
        by_tone: Add rows for each group of skin tones.
        progress: Show a progress bar.

    Raises:
        TrainingError: If no face is large enough for an input size.
    """
    rows: list[Row] = []
    for tier in tiers:
        found: dict[tuple[str, str], list[Scores]] = {}
        faces = samples(folder, tier, limit, seed, framing=framing, degradations=degradations)
        tones: list[str] = []
        parts = batches(faces, max(1, _BATCH_PIXELS // (4 * tier) ** 2))
        for batch in tqdm(parts, f"{tier} px", unit="batch", disable=not progress):
            comparison = _Comparison(batch.truth, instruments, framing)
            tones += batch.tones
            for kind in degradations:
                for method in methods:
                    scores = comparison.scores(_run(method, batch, kind, instruments))
                    found.setdefault((kind, method.name), []).append(scores)
        joined = {
            key: {name: np.concatenate([s[name] for s in scores]) for name in scores[0]}
            for key, scores in found.items()
        }
        groups = {"": np.ones(len(tones), bool)}
        if by_tone:
            groups |= {f", {tone}": np.array(tones) == tone for tone in dict.fromkeys(tones)}
        rows += [
            _row(
                tier,
                kind + suffix,
                method.name,
                _select(joined[kind, method.name], chosen),
                _select(joined[kind, methods[0].name], chosen),
            )
            for suffix, chosen in groups.items()
            for kind in degradations
            for method in methods
        ]
    return rows


def _select(scores: Scores, chosen: NDArray[np.bool_]) -> Scores:
    """Return the scores of the chosen faces."""
    return {name: values[chosen] for name, values in scores.items()}


def _run(method: Method, batch: Batch, kind: str, instruments: Instruments) -> Tensor:
    with instruments.timed(f"running {method.name}"):
        return method.run(batch.inputs[kind])


class _Comparison:
    """Compares results with a batch of ground truth, and computes the truth's features once."""

    def __init__(self, truth: Tensor, instruments: Instruments, framing: Framing) -> None:
        self._truth, self._instruments, self._framing = truth, instruments, framing
        self._embedded: Embeddings | None = None
        self._st_lpips_features: list[Tensor] | None = None
        self._landmarks: list[Landmarks] = []
        if instruments.embedder:
            with instruments.timed("identity"):
                self._embedded = instruments.embedder(truth, framing)
        if instruments.reader:
            with instruments.timed("landmarks"):
                self._landmarks = [instruments.reader.landmarks(picture) for picture in truth]

    @torch.inference_mode()
    def scores(self, results: Tensor) -> Scores:
        """Return the measures (N,) of results (N, 3, S, S), by name of the measure."""
        timed = self._instruments.timed
        x, y = face_region(results, self._framing), face_region(self._truth, self._framing)
        found: Scores = {}
        for name, measure in (("psnr", psnr), ("ssim", ssim), ("gmsd", gmsd)):
            with timed(name):
                found[name] = _numbers(measure(x, y))
        if self._instruments.lpips:
            with timed("lpips"):
                found["lpips"] = _numbers(self._instruments.lpips(x, y))
        if self._instruments.st_lpips:
            with timed("st-lpips"):
                if self._st_lpips_features is None:
                    self._st_lpips_features = self._instruments.st_lpips.features(y)
                found["st_lpips"] = _numbers(self._instruments.st_lpips(x, self._st_lpips_features))
        if self._framing == CANONICAL:
            with timed("colour"):
                found |= self._colours(results)
        if self._instruments.embedder and self._embedded is not None:
            with timed("identity"):
                embedded = self._instruments.embedder(results, self._framing)
            found["identity"] = np.linalg.norm(embedded - self._embedded, axis=1)
            found["same"] = same_person(embedded, self._embedded).astype(np.float64)
        return found | self._features(results)

    def _colours(self, results: Tensor) -> Scores:
        """Return the CIELAB distances of mean skin and iris colours from those of the truth."""
        pairs = [
            colour_difference(as_bytes(picture), as_bytes(truth))
            for picture, truth in zip(results, self._truth, strict=True)
        ]
        skin, iris = np.array(pairs).T
        return {"skin": skin, "iris": iris}

    def _features(self, results: Tensor) -> Scores:
        reader = self._instruments.reader
        if reader is None:
            return {}
        with self._instruments.timed("landmarks"):
            distances = [
                reader.distance(p, t) for p, t in zip(results, self._landmarks, strict=True)
            ]
        with self._instruments.timed("detector"):
            confidences = [reader.confidence(picture) for picture in results]
        return {"landmarks": np.array(distances), "confidence": np.array(confidences)}


def _numbers(values: Tensor) -> Values:
    return values.double().numpy()


def _row(tier: int, kind: str, name: str, scores: Scores, baseline: Scores) -> Row:
    figures = {measure: float(values.mean()) for measure, values in scores.items()}
    figures |= {f"{m}_worst": worst(v, m in HIGHER_IS_BETTER) for m, v in scores.items()}
    figures.pop("same_worst", None)  # The share of only a few faces means nothing.
    if name != BASELINE:
        gains = scores["psnr"] - baseline["psnr"]
        figures |= {"gain": float(gains.mean()), "better": float((gains > 0).mean())}
    return Row(tier, kind, name, len(scores["psnr"]), figures)


def worst(values: Values, higher_is_better: bool) -> float:
    """Return the mean of the worst 5 % of the values, at least of one value."""
    ordered = np.sort(values) if higher_is_better else np.sort(values)[::-1]
    return float(ordered[: max(1, round(WORST_SHARE * len(values)))].mean())
