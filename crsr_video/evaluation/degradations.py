"""Fixed degradations for tables: each shows one thing that real footage suffers from.

Lengths are HR pixels, four of which make a pixel of the input. Noise and the place in the codec's
grid are drawn from the face's own random generator, so every method sees the same input.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from torch import Tensor

from crsr_video.training.codec import CODECS
from crsr_video.training.degrade import clean, degrade, spoilt
from crsr_video.training.spoiling import Coding, Spoiling

Degradation = Callable[[Tensor, np.random.Generator], Tensor]
"""High-resolution faces (N, 3, 4T, 4T) and a random generator to low-resolution ones."""


def _fixed(spoiling: Spoiling, coding: Coding | None = None) -> Degradation:
    def apply(hr: Tensor, rng: np.random.Generator) -> Tensor:
        return spoilt(hr, [spoiling] * len(hr), coding, rng)

    return apply


def _spoiling(defocus: float, noise: float, quality: int, **more: float) -> Spoiling:
    plain = Spoiling(
        defocus=defocus,
        motion=0.0,
        angle=0.0,
        native=1.0,
        read_noise=noise / 255,
        shot_noise=0.0,
        quality=quality,
        speed=1.0,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def _clean(hr: Tensor, rng: np.random.Generator) -> Tensor:
    del rng
    return clean(hr)


def _h264(crf: int, rescale: float | None = None) -> Degradation:
    coding = Coding(CODECS["h264"], crf)
    if rescale is not None:
        coding = replace(coding, rescale=rescale, second=coding)
    return _fixed(_spoiling(1.6, 2.0, 90), coding)


DRAWN: dict[str, Degradation] = {"clean": _clean, "degraded": degrade}
"""Artificial low resolution, and a random mixture of what networks are trained on."""

FIXED: dict[str, Degradation] = {
    "clean": _clean,
    "mild": _fixed(_spoiling(1.6, 2.0, 75)),
    "hard": _fixed(_spoiling(3.0, 6.0, 35)),
    "H.264 crf 33": _h264(33),
    "sharpened": _fixed(_spoiling(1.6, 1.0, 70, sharpen_before=1.5, sharpen_radius=1.0)),
    "combed": _fixed(_spoiling(1.6, 1.0, 75, comb=2.0)),
    "shaken": _fixed(_spoiling(1.0, 2.0, 75, motion=16.0, angle=0.5, bend=0.3)),
    "dark": _fixed(_spoiling(1.6, 9.0, 60, chroma_noise=8 / 255, denoise=0.1)),
    "coded twice": _h264(28, rescale=0.7),
}
"""One row of a table each: blur, noise and JPEG 75; the same, stronger, and JPEG 35; H.264; an
unsharp mask before JPEG 70; two fields of different moments; curved motion blur; low light with
coloured noise after a noise filter; H.264 at two sizes, one after the other."""
