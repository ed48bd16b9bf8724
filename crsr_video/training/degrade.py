"""Make low resolution from high: the artificial kind, and one like a camera's and a codec's.

A camera blurs (lens, motion), samples, adds noise and compresses; then a crop is resampled to the
network's input size, which is seldom the size the face really had. `degrade` does these in that
order. Its ranges are our choice, not the paper's, which learns from genuine footage instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from crsr_video.training.codec import intra_frames, jpeg

FACTOR = 4
"""HR pixels for each LR pixel, along a side."""

Picture = NDArray[np.float32]


def clean(hr: Tensor) -> Tensor:
    """The artificial LR: shrunk four times, bicubic with antialiasing.

    Args:    hr: (N, 3, 4T, 4T) in [0, 1].
    Returns: (N, 3, T, T) in [0, 1].
    """
    return functional.interpolate(
        hr, scale_factor=1 / FACTOR, mode="bicubic", align_corners=False, antialias=True
    ).clamp(0, 1)


@dataclass(frozen=True)
class Spoiling:
    """What happens to one batch or picture; lengths in HR pixels."""

    defocus: float
    """Standard deviation of the lens blur."""
    motion: float
    """Length of the motion blur; under one pixel there is none."""
    angle: float
    """Direction of the motion, radians."""
    native: float
    """Side of the face as filmed, over the network's input size."""
    read_noise: float
    """Standard deviation in black, of values in [0, 1]."""
    shot_noise: float
    """What is added in white, likewise."""
    quality: int
    """Of JPEG, 1 to 100."""


def draw(rng: np.random.Generator) -> Spoiling:
    """A random spoiling; one in four is nearly none, so that good footage is not made worse."""
    if rng.random() < 0.25:
        return Spoiling(
            defocus=rng.uniform(0.0, 1.0),
            motion=0.0,
            angle=0.0,
            native=rng.uniform(0.9, 1.3),
            read_noise=rng.uniform(0.0, 1.0) / 255,
            shot_noise=0.0,
            quality=int(rng.integers(90, 98)),
        )
    # Squares make the strong cases rare: most footage is a little bad, some is very bad.
    return Spoiling(
        defocus=rng.uniform(0.3, 3.5),
        motion=rng.uniform(2.0, 12.0) if rng.random() < 0.25 else 0.0,
        angle=rng.uniform(0.0, np.pi),
        native=rng.uniform(0.5, 1.3),
        read_noise=8 / 255 * rng.random() ** 2,
        shot_noise=9 / 255 * rng.random() ** 2,
        quality=int(95 - 75 * rng.random() ** 1.5),
    )


def degrade(hr: Tensor, rng: np.random.Generator, *, video: float = 0.3) -> Tensor:
    """Video-like LR of the same faces.

    Args:    hr: (N, 3, 4T, 4T) in [0, 1].
             rng: every random choice comes from it.
             video: share of batches compressed by H.264 instead of JPEG.
    Returns: (N, 3, T, T) in [0, 1].
    """
    pictures: list[Picture] = [
        np.ascontiguousarray(p) for p in hr.permute(0, 2, 3, 1).numpy().astype(np.float32)
    ]
    size = hr.shape[-1] // FACTOR
    spoilings = [draw(rng) for _ in pictures]
    if rng.random() < video:
        spoilt = _as_video(pictures, spoilings, size, rng)
    else:
        spoilt = [_as_still(p, s, size, rng) for p, s in zip(pictures, spoilings, strict=True)]
    stack = np.stack([resize(p, size) for p in spoilt])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous().clamp_(0, 1)


def _as_still(picture: Picture, spoiling: Spoiling, size: int, rng: np.random.Generator) -> Picture:
    """One picture as filmed, compressed by itself; (n, n, 3) at its native size."""
    filmed = film(picture, spoiling, round(spoiling.native * size), rng)
    return jpeg(filmed, spoiling.quality, (int(rng.integers(8)), int(rng.integers(8))))


def _as_video(
    pictures: Sequence[Picture], spoilings: Sequence[Spoiling], size: int, rng: np.random.Generator
) -> list[Picture]:
    """A batch compressed as one clip of key frames: one native size and rate for all."""
    native = round(spoilings[0].native * size)
    filmed = [film(p, s, native, rng) for p, s in zip(pictures, spoilings, strict=True)]
    return intra_frames(filmed, int(rng.integers(20, 39)))


def film(picture: Picture, spoiling: Spoiling, native: int, rng: np.random.Generator) -> Picture:
    """Blur, sample at `native` pixels and add noise; (4T, 4T, 3) to (native, native, 3)."""
    if spoiling.defocus > 0.2:
        picture = cv2.GaussianBlur(
            picture, (0, 0), spoiling.defocus, borderType=cv2.BORDER_REFLECT_101
        )
    if spoiling.motion >= 1:
        kernel = motion_kernel(spoiling.motion, spoiling.angle)
        picture = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    sampled = np.clip(resize(picture, native), 0, 1)
    deviation = np.sqrt(spoiling.read_noise**2 + spoiling.shot_noise**2 * sampled)
    noise = rng.standard_normal(sampled.shape, np.float32)
    filmed: Picture = np.clip(sampled + deviation * noise, 0, 1).astype(np.float32)
    return filmed


def motion_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """A line of `length` pixels through the middle of a square kernel, sum 1."""
    side = int(np.ceil(length)) | 1
    along = np.linspace(-(length - 1) / 2, (length - 1) / 2, 4 * side)
    middle = side // 2
    kernel: NDArray[np.float32] = np.zeros((side, side), np.float32)
    x = np.rint(middle + along * np.cos(angle)).astype(int)
    y = np.rint(middle + along * np.sin(angle)).astype(int)
    np.add.at(kernel, (y, x), 1.0)
    kernel /= kernel.sum()
    return kernel


def resize(picture: Picture, size: int) -> Picture:
    """To (size, size, 3): by area when it shrinks, cubic when it grows."""
    if picture.shape[0] == size:
        return picture
    shrinks = size < picture.shape[0]
    resized: Picture = cv2.resize(
        picture, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    return resized
