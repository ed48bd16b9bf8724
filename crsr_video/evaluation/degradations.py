"""Fixed degradations for tables: each shows one thing that real footage suffers from.

Lengths are HR pixels, four of which make a pixel of the input. Noise and the place in the codec's
grid are drawn from a generator that is seeded by the face, so every method sees the same input.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from torch import Tensor

from crsr_video.training.codec import CODECS
from crsr_video.training.degradations import Compression, Degradation
from crsr_video.training.degrade import apply, clean, degrade

Degrader = Callable[[Tensor, np.random.Generator], Tensor]
"""High-resolution faces (N, 3, 4T, 4T) and a random generator to low-resolution ones."""


def _fixed(degradation: Degradation, compression: Compression | None = None) -> Degrader:
    def degrader(hr: Tensor, rng: np.random.Generator) -> Tensor:
        return apply(hr, [degradation] * len(hr), compression, rng)

    return degrader


def _degradation(defocus: float, noise: float, quality: int, **more: float) -> Degradation:
    plain = Degradation(
        defocus=defocus,
        motion=0.0,
        angle=0.0,
        native_scale=1.0,
        read_noise=noise / 255,
        shot_noise=0.0,
        quality=quality,
        speed=1.0,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def _clean(hr: Tensor, rng: np.random.Generator) -> Tensor:
    del rng
    return clean(hr)


def _h264(crf: int, rescale: float | None = None) -> Degrader:
    compression = Compression(CODECS["h264"], crf)
    if rescale is not None:
        compression = replace(compression, rescale=rescale, second=compression)
    return _fixed(_degradation(1.6, 2.0, 90), compression)


DRAWN: dict[str, Degrader] = {"clean": _clean, "degraded": degrade}
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
}
"""One row of a table each: blur, noise and JPEG 75; the same, stronger, and JPEG 35; H.264; an
unsharp mask before JPEG 70; two fields of different moments; curved motion blur; low light with
coloured noise after a noise filter; H.264 at two sizes, one after the other."""
