"""Turn pictures of faces into what an aligned track of a talking face looks like.

The tracker holds a face in its canonical place but for a slow drift and a small jitter, and the
face itself moves: softly all over, most at the mouth. Amounts are our choice.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from crsr_video.imaging.geometry import TEMPLATE

Array = NDArray[np.float64]

_KNOTS = 5
"""Control points of the elastic motion along a side."""


@dataclass(frozen=True)
class Liveliness:
    """How much moves; lengths as fractions of the crop's side."""

    still: float = 0.12
    """Share of clips in which nothing moves at all."""
    jitter: float = 0.15 / 64
    """Standard deviation of the tracker's error in each frame by itself."""
    drift: float = 0.006
    """Of its slow error, at most."""
    turn: float = 0.8
    """Degrees, at most."""
    zoom: float = 0.004
    """Relative change of size, at most."""
    elastic: float = 0.025
    """Displacement of the face's parts, at most."""
    brightness: float = 0.08
    """Relative change, at most, in the clips whose light changes."""
    flicker: float = 0.3
    """Share of clips whose light changes."""


def moving(
    pictures: Tensor, frames: int, rng: np.random.Generator, *, amount: Liveliness | None = None
) -> Tensor:
    """Clips of faces that are tracked and move a little.

    Args:    pictures: (N, 3, H, W) in [0, 1], canonical crops, H = W, on any device.
             rng: every random choice comes from it.
    Returns: (N, F, 3, H, W) in [0, 1], on the same device; resampled once, so still sharp.
    """
    amount = amount or Liveliness()
    clips = [
        _still(picture, frames)
        if rng.random() < amount.still
        else _lively(picture, frames, rng, amount)
        for picture in pictures
    ]
    return torch.stack(clips)


def _still(picture: Tensor, frames: int) -> Tensor:
    return picture.expand(frames, *picture.shape)


def _lively(picture: Tensor, frames: int, rng: np.random.Generator, amount: Liveliness) -> Tensor:
    """One clip, (3, S, S) to (F, 3, S, S)."""
    device = picture.device
    field = displacement(picture.shape[-1], frames, rng, amount).to(device)
    clip = warped(picture, field)
    if rng.random() < amount.flicker:
        gain = 1 + amount.brightness * rng.random() * wander(frames, rng)
        clip = clip * torch.from_numpy(gain.astype(np.float32)).to(device)[:, None, None, None]
    return clip.clamp(0, 1)


def wander(frames: int, rng: np.random.Generator, count: int | None = None) -> Array:
    """Smooth random curves within [-1, 1], no period under 7 frames; (F,) or (count, F)."""
    shape = (2, 1) if count is None else (2, count, 1)
    phase, pace = rng.uniform(0, 2 * np.pi, shape), rng.uniform(0.1, 0.9, shape)
    curves: Array = np.sin(phase + pace * np.arange(frames)).mean(0)
    return curves


def displacement(side: int, frames: int, rng: np.random.Generator, amount: Liveliness) -> Tensor:
    """Where each pixel looks, relative to itself: y and x in pixels, (F, 2, S, S), on the CPU."""
    knots = amount.elastic * rng.random() * wander(frames, rng, 2 * _KNOTS**2)
    control = torch.from_numpy(knots.astype(np.float32)).T.reshape(frames, 2, _KNOTS, _KNOTS)
    field = functional.interpolate(control, size=(side, side), mode="bicubic", align_corners=True)
    place = (torch.arange(side) + 0.5) / side
    field[:, 0] += _speech(place, wander(frames, rng), amount.elastic * rng.random())
    return (field + _tracking(place, frames, rng, amount)) * side


def _speech(place: Tensor, opening: Array, most: float) -> Tensor:
    """The mouth opens and closes: what lies below its line goes down and back; (F, S, S)."""
    middle, line = 0.5, float(TEMPLATE[3:, 1].mean())
    below = (place - line)[:, None]
    # The lower lip and the chin move, the upper lip hardly, the neck not.
    down = torch.sigmoid(below / 0.015) * torch.exp(-((below / 0.16).square()))
    across = torch.exp(-(((place - middle) / 0.15).square()))
    curve = torch.from_numpy((0.5 + 0.5 * opening).astype(np.float32))
    return -most * curve[:, None, None] * (down * across)


def _tracking(place: Tensor, frames: int, rng: np.random.Generator, amount: Liveliness) -> Tensor:
    """What the tracker gets wrong: (F, 2, S, S)."""
    turn = np.deg2rad(amount.turn) * rng.random() * wander(frames, rng)
    zoom = amount.zoom * wander(frames, rng)
    shift = amount.drift * rng.random() * wander(frames, rng, 2)
    shift += amount.jitter * rng.standard_normal((2, frames))
    t, z, y, x = (
        torch.from_numpy(v.astype(np.float32))[:, None, None] for v in (turn, zoom, *shift)
    )
    down, across = (place - 0.5)[:, None], (place - 0.5)[None]
    return torch.stack([z * down + t * across + y, z * across - t * down + x], 1)


def warped(picture: Tensor, field: Tensor) -> Tensor:
    """Every pixel fetched from where `field` says, bicubic, mirrored at the edges.

    Args:    picture: (3, S, S).
             field: (F, 2, S, S), y and x in pixels.
    Returns: (F, 3, S, S); may overshoot.
    """
    pixels = torch.arange(picture.shape[-1], device=picture.device, dtype=picture.dtype)
    y, x = field[:, 0] + pixels[:, None], field[:, 1] + pixels
    if picture.device.type == "cpu":  # OpenCV is four times as fast there.
        return _by_opencv(picture, x, y)
    return by_torch(picture, x, y)


def by_torch(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`warped` to absolute positions (F, S, S) on any device."""
    grid = torch.stack([x, y], -1) * (2 / (picture.shape[-1] - 1)) - 1
    return functional.grid_sample(
        picture.expand(len(grid), *picture.shape),
        grid,
        mode="bicubic",
        padding_mode="reflection",
        align_corners=True,
    )


def _by_opencv(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    source = picture.permute(1, 2, 0).contiguous().numpy()
    frames = [
        cv2.remap(source, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        for maps in zip(x.numpy(), y.numpy(), strict=True)
    ]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
