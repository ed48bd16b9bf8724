"""Camera optics on tensors of any device: blur, sampling, noise, and conversion to linear light.

A picture is resampled with one matrix for each axis, so that blur, change of size and shift form a
single filter. Pixel centres lie at integers. A picture is mirrored at its edges.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_PIXEL = 1 / 12
"""Variance of a box of one pixel: each source pixel is itself the mean over such a box."""
BLACK_SLOPE, WHITE_SLOPE = 4.5, 1.099 * 0.45
"""Slopes of the transfer function of BT.709, from light to codes, at black and at white."""
_TOE = 0.018
"""Light below which the transfer function of BT.709 is linear."""

Profile = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Grid:
    """Sampling positions in a batch of B square pictures."""

    start: Tensor
    """y and x of the first sample, (B, 2)."""
    step: Tensor
    """Source pixels from one sample to the next, (B,)."""
    side: int

    def positions(self, axis: int) -> Tensor:
        """Return the positions of samples along y (0) or x (1) in source pixels; (B, side)."""
        count = torch.arange(self.side, device=self.step.device, dtype=self.step.dtype)
        return self.start[:, axis, None] + count * self.step[:, None]

    def of(self, chosen: Tensor) -> "Grid":
        """Return the grid of the pictures that a mask (B,) selects."""
        return Grid(self.start[chosen], self.step[chosen], self.side)


def sensor(pictures: Tensor, grid: Grid, defocus: Tensor) -> Tensor:
    """Blur pictures by defocus, and average them over square cells as wide as the grid's step.

    Args:
        pictures: (B, 3, S, S).
        grid: Places of the cells.
        defocus: Standard deviations of the blur in source pixels, (B,).

    Returns:
        (B, 3, side, side).
    """
    sigma = (defocus.square() + _PIXEL).sqrt()[:, None, None]
    half = grid.step[:, None, None] / 2
    reach = float((half + 3 * sigma).max())

    def profile(distance: Tensor) -> Tensor:
        upper, lower = ((distance + side * half) / sigma for side in (1, -1))
        weight: Tensor = torch.special.ndtr(upper) - torch.special.ndtr(lower)
        return weight

    return _along_both(
        pictures, *(_matrix(grid.positions(a), pictures.shape[-1], reach, profile) for a in (0, 1))
    )


def resampled(pictures: Tensor, grid: Grid) -> Tensor:
    """Resample with the cubic kernel of Keys (1981), a = -1/2, stretched if the grid is coarser.

    Args:
        pictures: (B, 3, S, S).
        grid: Places of the samples.

    Returns:
        (B, 3, side, side). Values may overshoot.
    """
    stretch = grid.step.clamp(min=1)[:, None, None]

    def profile(distance: Tensor) -> Tensor:
        x = (distance / stretch).abs()
        near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
        return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))

    reach = 2 * float(stretch.max())
    return _along_both(
        pictures, *(_matrix(grid.positions(a), pictures.shape[-1], reach, profile) for a in (0, 1))
    )


def exposed(
    pictures: Tensor, grid: Grid, defocus: Tensor, path: Tensor, bend: Tensor | None = None
) -> Tensor:
    """Average the result of `sensor` along the path of the picture while the shutter is open.

    Args:
        pictures: (B, 3, S, S).
        grid: Places of the cells.
        defocus: Standard deviations of the blur in source pixels, (B,).
        path: y and x of the movement while the shutter is open, in source pixels, (B, 2).
        bend: Sagitta of the path, relative to its length, (B,). By default, the path is straight.

    Returns:
        (B, 3, side, side).
    """
    still = path.square().sum(1) < 1
    if bool(still.all()):
        return sensor(pictures, grid, defocus)
    result = pictures.new_empty((*pictures.shape[:2], grid.side, grid.side))
    if bool(still.any()):
        result[still] = sensor(pictures[still], grid.of(still), defocus[still])
    moving = ~still
    # One sample every two pixels is enough, because a sensor cell is wider than that.
    samples = max(2, round(float(path.norm(dim=1).max()) / 2) + 1)
    seen, total = grid.of(moving), torch.zeros_like(result[moving])
    for sample in range(samples):
        time = (sample + 0.5) / samples - 0.5
        offset = time * path[moving]
        if bend is not None:
            aside = path[moving].flip(1) * path.new_tensor([1.0, -1.0])
            offset = offset + (4 * time * time - 1 / 3) / 2 * bend[moving, None] * aside
        shifted = Grid(seen.start + offset, seen.step, seen.side)
        total += sensor(pictures[moving], shifted, defocus[moving])
    result[moving] = total / samples
    return result


def light_from_codes(codes: Tensor) -> Tensor:
    """Convert codes in [0, 1] to linear light by the transfer function of BT.709."""
    above = ((codes + 0.099) / 1.099).clamp_min(0).pow(1 / 0.45)
    return torch.where(codes < BLACK_SLOPE * _TOE, codes / BLACK_SLOPE, above)


def codes_from_light(light: Tensor) -> Tensor:
    """Convert linear light to codes in [0, 1] by the transfer function of BT.709."""
    above = 1.099 * light.clamp_min(0).pow(0.45) - 0.099
    return torch.where(light < _TOE, BLACK_SLOPE * light, above)


def add_noise(pictures: Tensor, read: Tensor, shot: Tensor, rng: np.random.Generator) -> Tensor:
    """Add noise whose variance grows with the light, and clip to [0, 1] as sensors do.

    Args:
        pictures: (B, 3, H, W) in [0, 1].
        read: Standard deviation of the noise in black, (B,).
        shot: Standard deviation of the noise that is added to it in white, (B,).
        rng: Seeds a generator on the pictures' device.
    """
    generator = torch.Generator(pictures.device).manual_seed(int(rng.integers(2**62)))
    light = pictures.clamp(0, 1)
    noise = torch.empty_like(light).normal_(generator=generator)
    variance = shot.square()[:, None, None, None] * light + read.square()[:, None, None, None]
    return noise.mul_(variance.sqrt_()).add_(light).clamp_(0, 1)


def _along_both(pictures: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Multiply every channel by the two matrices (B, side, S) of its picture."""
    return vertical[:, None] @ pictures @ horizontal[:, None].transpose(-1, -2)


def _matrix(positions: Tensor, length: int, reach: float, profile: Profile) -> Tensor:
    """Return the weights (B, side, length) of source pixels at each position.

    Args:
        positions: Positions in source pixels, (B, side).
        length: Number of source pixels.
        reach: Distance beyond which the profile is zero.
        profile: Function from distances (B, side, taps) to weights.
    """
    taps = torch.arange(2 * int(reach + 1.5) + 1, device=positions.device) - int(reach + 1.5)
    index = positions.round()[..., None] + taps
    weight = profile(index - positions[..., None])
    weight = weight / weight.sum(-1, keepdim=True)
    # Mirrored at the edges: ... 1 0 | 0 1 2 ...
    turn = index.long().remainder(2 * length)
    inside = torch.where(turn < length, turn, 2 * length - 1 - turn)
    matrix = weight.new_zeros((*positions.shape, length))
    return matrix.scatter_add_(-1, inside, weight)
