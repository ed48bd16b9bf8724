"""Artificial low resolution, of which the truth is known: every method against it, face by face."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from crsr_video.evaluation.degradations import DRAWN, Degrader
from crsr_video.evaluation.framings import CANONICAL
from crsr_video.evaluation.identity import Embeddings, same_person
from crsr_video.evaluation.instruments import Instruments
from crsr_video.evaluation.landmarks import Landmarks
from crsr_video.evaluation.methods import BASELINE, Method
from crsr_video.evaluation.metrics import face_region, psnr, ssim
from crsr_video.evaluation.perceptual import gmsd
from crsr_video.evaluation.report import Row
from crsr_video.evaluation.samples import TIERS, Batch, as_bytes, batches, samples
from crsr_video.training.appearance import colour_difference
from crsr_video.training.genuine import Framing

Values = NDArray[np.float64]
Scores = dict[str, Values]

HIGHER_IS_BETTER = {"psnr", "ssim", "same", "confidence"}
WORST = 0.05
"""Share of the faces that the worst case is the mean of."""
_PIXELS = 2**19
"""Of high resolution in a batch: more would not be faster on a CPU."""


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
    """Run every method on every validation face.

    Args:   methods: the first is the one that others gain over.
            folder: prepared faces.
            limit: faces of each tier. seed: of the degradations.
            framing: how much of the head the methods were trained to see.
            degradations: how inputs are made, by name.
            by_tone: add rows for each skin tone group.
            progress: draw a progress bar on standard error.
    Raises: TrainingError: no face is large enough for a tier.
    """
    rows: list[Row] = []
    for tier in tiers:
        found: dict[tuple[str, str], list[Scores]] = {}
        faces = samples(folder, tier, limit, seed, framing=framing, degradations=degradations)
        tones: list[str] = []
        part = batches(faces, max(1, _PIXELS // (4 * tier) ** 2))
        for batch in tqdm(part, f"{tier} px", unit="batch", disable=not progress):
            judge = _Judge(batch.truth, instruments, framing)
            tones += batch.tones
            for kind in degradations:
                for method in methods:
                    scores = judge.scores(_made(method, batch, kind, instruments))
                    found.setdefault((kind, method.name), []).append(scores)
        joined = {
            key: {name: np.concatenate([s[name] for s in parts]) for name in parts[0]}
            for key, parts in found.items()
        }
        groups = {"": np.ones(len(tones), bool)}
        if by_tone:
            groups |= {f", {tone}": np.array(tones) == tone for tone in dict.fromkeys(tones)}
        rows += [
            _row(
                tier,
                kind + suffix,
                method.name,
                _of(joined[kind, method.name], chosen),
                _of(joined[kind, methods[0].name], chosen),
            )
            for suffix, chosen in groups.items()
            for kind in degradations
            for method in methods
        ]
    return rows


def _of(scores: Scores, chosen: NDArray[np.bool_]) -> Scores:
    """The scores of some of the faces."""
    return {name: values[chosen] for name, values in scores.items()}


def _made(method: Method, batch: Batch, kind: str, instruments: Instruments) -> Tensor:
    with instruments.timed(f"running {method.name}"):
        return method.run(batch.inputs[kind])


class _Judge:
    """Compares results with one batch of truths, which are looked at once."""

    def __init__(self, truth: Tensor, instruments: Instruments, framing: Framing) -> None:
        self._truth, self._tools, self._framing = truth, instruments, framing
        self._embedded: Embeddings | None = None
        self._seen: list[Tensor] | None = None
        self._landmarks: list[Landmarks] = []
        if instruments.embedder:
            with instruments.timed("identity"):
                self._embedded = instruments.embedder(truth, framing)
        if instruments.reader:
            with instruments.timed("landmarks"):
                self._landmarks = [instruments.reader.landmarks(picture) for picture in truth]

    @torch.inference_mode()
    def scores(self, made: Tensor) -> Scores:
        """All that can be measured of (N, 3, S, S); each (N,)."""
        timed = self._tools.timed
        x, y = face_region(made, self._framing), face_region(self._truth, self._framing)
        found: Scores = {}
        for name, measure in (("psnr", psnr), ("ssim", ssim), ("gmsd", gmsd)):
            with timed(name):
                found[name] = _numbers(measure(x, y))
        if self._tools.lpips:
            with timed("lpips"):
                found["lpips"] = _numbers(self._tools.lpips(x, y))
        if self._tools.st_lpips:
            with timed("st-lpips"):
                if self._seen is None:
                    self._seen = self._tools.st_lpips.features(y)
                found["st_lpips"] = _numbers(self._tools.st_lpips(x, self._seen))
        if self._framing == CANONICAL:
            with timed("colour"):
                found |= self._colours(made)
        if self._tools.embedder and self._embedded is not None:
            with timed("identity"):
                embedded = self._tools.embedder(made, self._framing)
            found["identity"] = np.linalg.norm(embedded - self._embedded, axis=1)
            found["same"] = same_person(embedded, self._embedded).astype(np.float64)
        return found | self._features(made)

    def _colours(self, made: Tensor) -> Scores:
        """How far the colours of skin and irises are from the truth's, in CIELAB."""
        pairs = [
            colour_difference(as_bytes(picture), as_bytes(truth))
            for picture, truth in zip(made, self._truth, strict=True)
        ]
        skin, iris = np.array(pairs).T
        return {"skin": skin, "iris": iris}

    def _features(self, made: Tensor) -> Scores:
        reader = self._tools.reader
        if reader is None:
            return {}
        with self._tools.timed("landmarks"):
            apart = [reader.distance(p, t) for p, t in zip(made, self._landmarks, strict=True)]
        with self._tools.timed("detector"):
            sure = [reader.confidence(picture) for picture in made]
        return {"landmarks": np.array(apart), "confidence": np.array(sure)}


def _numbers(values: Tensor) -> Values:
    return values.double().numpy()


def _row(tier: int, kind: str, name: str, scores: Scores, baseline: Scores) -> Row:
    figures = {measure: float(values.mean()) for measure, values in scores.items()}
    figures |= {f"{m}_worst": worst(v, m in HIGHER_IS_BETTER) for m, v in scores.items()}
    figures.pop("same_worst", None)  # of five faces in a hundred, it says nothing
    if name != BASELINE:
        gains = scores["psnr"] - baseline["psnr"]
        figures |= {"gain": float(gains.mean()), "better": float((gains > 0).mean())}
    return Row(tier, kind, name, len(scores["psnr"]), figures)


def worst(values: Values, higher_is_better: bool) -> float:
    """Mean of the worst twentieth of the faces, at least one of them."""
    ordered = np.sort(values) if higher_is_better else np.sort(values)[::-1]
    return float(ordered[: max(1, round(WORST * len(values)))].mean())
