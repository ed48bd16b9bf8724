"""Faces of the held-out set with their degraded inputs, and reference photographs.

Each fixed degradation shows one defect of real footage. Lengths are in HR pixels; four of them are
as long as one pixel of the input. The noise and the position in the codec's grid are drawn from a
random generator that is seeded by the face, so every method gets the same input.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.evaluation.metrics import CANONICAL
from crsr_video.training.appearance import tone_group
from crsr_video.training.codec import CODECS
from crsr_video.training.data import Faces, evenly_spaced, resized
from crsr_video.training.degradations import Compression, Degradation
from crsr_video.training.degrade import FACTOR, apply, clean, degrade
from crsr_video.training.genuine import Framing, framed
from crsr_video.training.pack import Pack
from crsr_video.types import Bytes


class Degrader(Protocol):
    """Degrades pictures."""

    def __call__(self, hr: Tensor, rng: np.random.Generator, factor: int = FACTOR) -> Tensor:
        """Map high-resolution pictures (N, 3, factor T, factor T) to (N, 3, T, T)."""


def _fixed(degradation: Degradation, compression: Compression | None = None) -> Degrader:
    def degrader(hr: Tensor, rng: np.random.Generator, factor: int = FACTOR) -> Tensor:
        return apply(hr, [degradation] * len(hr), compression, rng, factor)

    return degrader


def _degradation(defocus: float, noise: float, quality: int, **more: float) -> Degradation:
    values: dict[str, Any] = {"defocus": defocus, "read_noise": noise / 255, "quality": quality}
    values |= {"motion": 0.0, "angle": 0.0, "native_scale": 1.0, "shot_noise": 0.0, "speed": 1.0}
    return Degradation(**(values | more))


def _clean(hr: Tensor, rng: np.random.Generator, factor: int = FACTOR) -> Tensor:
    del rng
    return clean(hr, factor)


def _drawn(hr: Tensor, rng: np.random.Generator, factor: int = FACTOR) -> Tensor:
    return degrade(hr, rng, factor=factor)


def _h264(crf: int, rescale: float | None = None, **more: Any) -> Degrader:
    compression = replace(Compression(CODECS["h264"], crf), **more)
    if rescale is not None:
        compression = replace(compression, rescale=rescale, second=compression)
    return _fixed(_degradation(1.6, 2.0, 90), compression)


DRAWN: dict[str, Degrader] = {"clean": _clean, "degraded": _drawn}
"""Artificial low resolution, and a random mixture of what networks are trained on."""

FIXED: dict[str, Degrader] = {
    "clean": _clean,
    "mild": _fixed(_degradation(1.6, 2.0, 75)),
    "hard": _fixed(_degradation(3.0, 6.0, 35)),
    "H.264 crf 33": _h264(33),
    "sharpened": _fixed(_degradation(1.6, 1.0, 70, sharpen_before=1.5, sharpen_radius=1.0)),
    "combed": _fixed(_degradation(1.6, 1.0, 75, comb=2.0)),
    "shaken": _fixed(_degradation(1.0, 2.0, 75, motion=16.0, angle=0.5, bend=0.3)),
    "dark": _fixed(_degradation(1.6, 9.0, 60, chroma_noise=8 / 255, denoise=0.1)),
    "coded twice": _h264(28, rescale=0.7),
    "deep in a GOP": _h264(30, depth=24),
    "rate-starved": _h264(0, bits_per_pixel=0.5),
    "linear light": _fixed(_degradation(2.4, 4.0, 75, shot_noise=4 / 255, is_linear=True)),
}
"""Degradations by the name of their row in a table. In this order: artificial low resolution; blur,
noise and JPEG 75; stronger blur and noise with JPEG 35; H.264; an unsharp mask before JPEG 70; two
fields captured at different times; curved motion blur; low light with colour noise and a noise
filter; H.264 twice, at two sizes; H.264 24 frames after the key frame; H.264 shortly after a cut at
a limited bit rate; blur and noise in linear light."""

TIERS = (32, 64, 128)
"""Input sizes of the product in pixels. The paper enlarges faces from 16 to 64 pixels."""

REFERENCE_SIDE = 256
"""Largest side in pixels of the faces when two sets of faces are compared.

A canonical crop of 227 pixels has the scale of the recognition network's input, so larger crops add
nothing. Besides, there are fewer photographs of twice this size."""


@dataclass(frozen=True)
class FaceSample:
    """One face of the held-out set at one input size T."""

    file: str
    """Path of the picture below its source folder."""
    kind: str
    """"real" or "synthetic"."""
    tone: str
    """Group of skin tones (see `training.appearance`), or "unknown"."""
    truth: Tensor
    """Ground truth (1, 3, 4T, 4T) in [0, 1]."""
    inputs: dict[str, Tensor]
    """Degraded faces (1, 3, T, T) in [0, 1] by the name of the degradation."""


@dataclass(frozen=True)
class Batch:
    """Faces that are enhanced together."""

    truth: Tensor
    """Ground truth (N, 3, 4T, 4T) in [0, 1]."""
    inputs: dict[str, Tensor]
    """Degraded faces (N, 3, T, T) in [0, 1] by the name of the degradation."""
    tones: list[str]


def samples(
    folder: Path,
    tier: int,
    limit: int | None = None,
    seed: int = 0,
    kind: str = "",
    framing: Framing = CANONICAL,
    degradations: Mapping[str, Degrader] = DRAWN,
) -> Iterator[FaceSample]:
    """Yield faces of the held-out set, with inputs that depend only on the seed and the face.

    Args:
        folder: Folder of prepared faces.
        tier: Side of the input in pixels.
        limit: Maximum number of faces, which are evenly spread over the set. Defaults to all.
        seed: Seed of the degradations.
        kind: "real" or "synthetic" for faces of that kind only. Defaults to both.
        framing: Part of the head to show.
        degradations: Degradations by name.

    Raises:
        TrainingError: If no face is large enough.
    """
    side = tier * FACTOR
    whole = math.ceil(side / framing.scale)
    chosen = _large(folder, "val", whole, kind)
    if not chosen:
        raise TrainingError(f"no face of the held-out set is {side} pixels wide")
    faces = Faces(folder, "val")
    for number in evenly_spaced(list(chosen), limit):
        picture = faces.at(number, whole)
        same = framing == CANONICAL
        truth = as_tensor(resized(picture, side) if same else framed(picture, side, framing))[None]
        inputs = {
            name: make(truth, np.random.default_rng((seed, tier, number)))
            for name, make in degradations.items()
        }
        yield FaceSample(*chosen[number], truth, inputs)


def batches(found: Iterator[FaceSample], size: int) -> Iterator[Batch]:
    """Group faces into batches of up to `size`."""
    group: list[FaceSample] = []
    for sample in found:
        group.append(sample)
        if len(group) == size:
            yield _batch(group)
            group = []
    if group:
        yield _batch(group)


def _batch(group: list[FaceSample]) -> Batch:
    inputs = {name: torch.cat([s.inputs[name] for s in group]) for name in group[0].inputs}
    return Batch(torch.cat([s.truth for s in group]), inputs, [s.tone for s in group])


def reference(
    folder: Path,
    side: int,
    count: int,
    framing: Framing = CANONICAL,
    *,
    splits: Sequence[str] = ("train", "val"),
) -> Iterator[Tensor]:
    """Yield photographs to compare sets of results with, each (1, 3, side, side).

    By default, they come from both splits, because the comparison needs many photographs.

    Args:
        folder: Folder of prepared faces.
        side: Side of the photographs in pixels, at most `REFERENCE_SIDE`.
        count: Maximum number of photographs, which are evenly spread over the splits.
        framing: Part of the head to show.
        splits: Splits that the photographs come from. Photographs of the training set favour
            methods that imitate them.

    Raises:
        TrainingError: If there is no photograph.
    """
    whole = round(side / framing.scale)
    groups = {split: _large(folder, split, whole, "real") for split in splits}
    wanted = [(split, number) for split, chosen in groups.items() for number in chosen]
    if not wanted:
        raise TrainingError(f"no photograph in {folder} is {whole} pixels wide")
    faces = {split: Faces(folder, split) for split, _ in wanted}
    for split, number in evenly_spaced(wanted, count):
        yield as_tensor(framed(faces[split].at(number, whole), side, framing))[None]


def _large(folder: Path, split: str, side: int, kind: str = "") -> dict[int, tuple[str, str, str]]:
    """Return file, kind and skin tone of all faces that are large enough, by number in `Faces`."""
    entries = sorted(
        (e for e in Pack(folder).pictures if e.split == split and e.size >= side),
        key=lambda e: (e.size, e.row),  # `Faces.at` uses this order.
    )
    found = enumerate(entries)
    return {
        number: (e.file, e.kind, "unknown" if e.skin_ita is None else tone_group(e.skin_ita))
        for number, e in found
        if kind in ("", e.kind)
    }


def as_tensor(picture: Bytes) -> Tensor:
    """Convert uint8 (H, W, 3) to float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255


def as_bytes(picture: Tensor) -> Bytes:
    """Convert (3, H, W) in [0, 1] to uint8 (H, W, 3)."""
    values: Bytes = picture.float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    return values
