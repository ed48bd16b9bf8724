"""Fixed degradations for tables, each of which shows one defect of real footage.

Lengths are in HR pixels; four of them are as long as one pixel of the input. The noise and the
position in the codec's grid are drawn from a random generator that is seeded by the face, so every
method gets the same input.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np
from torch import Tensor

from crsr_video.training.codec import CODECS
from crsr_video.training.degradations import Compression, Degradation
from crsr_video.training.degrade import FACTOR, apply, clean, degrade


class Degrader(Protocol):
    """Degrades pictures."""

    def __call__(self, hr: Tensor, rng: np.random.Generator, factor: int = FACTOR) -> Tensor:
        """Map high-resolution pictures (N, 3, factor T, factor T) to (N, 3, T, T)."""


def _fixed(degradation: Degradation, compression: Compression | None = None) -> Degrader:
    def degrader(hr: Tensor, rng: np.random.Generator, factor: int = FACTOR) -> Tensor:
        return apply(hr, [degradation] * len(hr), compression, rng, factor)

    return degrader


def _degradation(defocus: float, noise: float, quality: int, **more: float) -> Degradation:
    values = {"motion": 0.0, "angle": 0.0, "native_scale": 1.0, "shot_noise": 0.0, "speed": 1.0}
    values |= {"defocus": defocus, "read_noise": noise / 255, "quality": quality}
    return Degradation(**(values | more))  # type: ignore[arg-type]


def _clean(hr: Tensor, rng: np.random.Generator, factor: int = FACTOR) -> Tensor:
    del rng
    return clean(hr, factor)


def _drawn(hr: Tensor, rng: np.random.Generator, factor: int = FACTOR) -> Tensor:
    return degrade(hr, rng, factor=factor)


def _h264(crf: int, rescale: float | None = None, **more: float) -> Degrader:
    compression = replace(Compression(CODECS["h264"], crf), **more)  # type: ignore[arg-type]
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
