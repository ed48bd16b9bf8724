"""Building blocks that the networks share."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE = 4
"""Height and width must be multiples of this, because the trunk halves them twice."""


def begin_at_zero(layer: nn.Module) -> None:
    """Set the weights and the bias of a layer to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def use_channels_last(module: nn.Module) -> None:
    """Store the weights of a module with the channels last, so that convolutions are faster."""
    # torch's type hints lack this signature.
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU in between; their output is added to the input.

    There are no normalisation layers, because batch statistics reduce the contrast and the colour
    of super-resolved pictures (EDSR, Lim et al. 2017).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        # Each block begins as the identity, so depth costs nothing at the start of training.
        begin_at_zero(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        change: Tensor = self.second(functional.relu(self.first(x)))
        return x + change


class Upsampling(nn.Module):
    """Upsampling layer that doubles the resolution and changes the number of channels."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        # Mixing the channels before enlarging them takes a quarter of the computation.
        self.mix = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to (N, channels_out, 2H, 2W)."""
        return functional.interpolate(
            self.mix(x), scale_factor=2, mode="bilinear", align_corners=False
        )


def blocks(channels: int, count: int) -> nn.Sequential:
    """Return a sequence of `count` residual blocks."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


class Hourglass(nn.Module):
    """A U-shaped trunk over three resolutions, with additive skip connections.

    It works at the resolution of its input and below, where convolutions are cheap and have a
    large receptive field: the network must see the whole face before it can draw an eye.

    Args:
        channels: Numbers of channels at full, half and quarter resolution.
        down: Numbers of residual blocks on the way down, at full and half resolution.
        middle: Number of residual blocks at quarter resolution.
        up: Numbers of residual blocks on the way up, at half and full resolution.
    """

    def __init__(
        self,
        channels: Sequence[int],
        down: Sequence[int],
        middle: int,
        up: Sequence[int],
    ) -> None:
        super().__init__()
        full, half, quarter = channels
        self.full_down = blocks(full, down[0])
        self.to_half = nn.Conv2d(full, half, 3, stride=2, padding=1)
        self.half_down = blocks(half, down[1])
        self.to_quarter = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.quarter = blocks(quarter, middle)
        self.from_quarter = Upsampling(quarter, half)
        self.half_up = blocks(half, up[0])
        self.from_half = Upsampling(half, full)
        self.full_up = blocks(full, up[1])

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels[0], H, W) to the same shape."""
        full = self.full_down(x)
        half = self.half_down(functional.relu(self.to_half(full)))
        quarter = self.quarter(functional.relu(self.to_quarter(half)))
        half = self.half_up(half + self.from_quarter(quarter))
        result: Tensor = self.full_up(full + self.from_half(half))
        return result


class TextureHead(nn.Module):
    """The texture head, which outputs a correction at four times the input's resolution.

    Unlike a head that writes all sixteen sub-pixels of a pixel at once, it has convolutions at
    twice the input's resolution. These connect neighbouring sub-pixels of different input pixels,
    so that the correction hardly shows a grid with the period of the input pixels.

    Args:
        channels_in: Number of channels of the trunk's features.
        channels: Number of channels at twice the input's resolution.
    """

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, 4 * channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, 3 * 2**2, 3, padding=1)
        if self.last.weight.is_meta:
            return  # Weights are loaded later. Initialising would import torch's compiler.
        _equal_subpixels(self.first)
        # Beginning close to the identity replaces a residual connection.
        with torch.no_grad():
            self.second.weight.mul_(0.1).add_(nn.init.dirac_(torch.empty_like(self.second.weight)))
        begin_at_zero(self.last)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to float32 (N, 3, 4H, 4W)."""
        x = functional.pixel_shuffle(functional.relu(self.first(features)), 2)
        change: Tensor = self.last(functional.relu(self.second(x)))
        change = functional.pixel_shuffle(change.float(), 2)
        return without_lattice(change, 4)


def without_lattice(change: Tensor, factor: int = 4) -> Tensor:
    """Return a correction without the pattern that repeats at every input pixel.

    Convolutions on the grid of input pixels treat the sub-pixels of one pixel differently, so that
    their output has a component with the period of that grid. This function estimates it from the
    plane of each sub-pixel: the slow variation of the plane, minus the slow variation that all
    planes share. In the spectrum, this is a narrow band around the multiples of the grid frequency.

    Args:
        change: (N, C, H, W), with H and W multiples of four times the factor.
        factor: Period of the grid, in pixels of the correction.

    Returns:
        The correction without the pattern, in the same shape.
    """
    planes = functional.pixel_unshuffle(change, factor)
    coarse = functional.avg_pool2d(planes, 4)
    coarse = functional.avg_pool2d(
        functional.pad(coarse, (1, 1, 1, 1), mode="replicate"), 3, stride=1
    )
    by_phase = coarse.unflatten(1, (-1, factor**2))
    lattice = (by_phase - by_phase.mean(2, keepdim=True)).flatten(1, 2)
    lattice = functional.interpolate(lattice, scale_factor=4, mode="bilinear", align_corners=False)
    return functional.pixel_shuffle(planes - lattice, factor)


def _equal_subpixels(layer: nn.Conv2d) -> None:
    """Initialise the convolution before a pixel shuffle so that all sub-pixels start equal.

    Sub-pixels that begin with different weights leave a checkerboard pattern (ICNR, Aitken et al.
    2017).
    """
    begin_at_zero(layer)
    kernel = torch.empty(layer.out_channels // 4, *layer.weight.shape[1:])
    nn.init.kaiming_normal_(kernel, nonlinearity="relu")
    with torch.no_grad():
        layer.weight.copy_(kernel.repeat_interleave(4, 0))


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Enlarge (N, C, H, W) to (N, C, fH, fW) bicubically, with exact half-pixel alignment.

    The result equals that of ``interpolate(mode="bicubic")``. It is computed by one small
    convolution for all f x f sub-pixels of a pixel at once, which is several times faster on a CPU.
    The precision is always float32: the output picture is the sum of this enlargement and a small
    correction, and the eight bits of mantissa of bf16 would cause banding.
    """
    count, channels, height, width = x.shape
    with torch.autocast(x.device.type, enabled=False):
        planes = x.float().reshape(count * channels, 1, height, width)
        padded = functional.pad(planes, (2, 2, 2, 2), mode="replicate")
        phases = functional.conv2d(padded, _placed_phases(factor, x.device))
        large = functional.pixel_shuffle(phases, factor)
    return large.reshape(count, channels, factor * height, factor * width)


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def _placed_phases(factor: int, device: torch.device) -> Tensor:
    """Return the kernels on a device.

    They are copied there only once, because a CUDA graph cannot contain the copy.
    """
    return cubic_phases(factor).to(device)


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)  # a cached inference tensor would break a later training step
def cubic_phases(factor: int) -> Tensor:
    """Return the kernels of all sub-pixels, (f * f, 1, 5, 5), in row-major order of sub-pixels.

    Sub-pixel p lies (p + 1/2) / f - 1/2 pixels from the centre of its pixel. The weight of a
    neighbour at distance d is the cubic kernel of Keys (1981) with a = -3/4, as in torch and
    OpenCV.
    """
    places = (torch.arange(factor, dtype=torch.float64) + 0.5) / factor - 0.5
    d = (places[:, None] - torch.arange(-2.0, 3.0, dtype=torch.float64)).abs()
    a = -0.75
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    weights = torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))
    kernels = weights[:, None, :, None] * weights[None, :, None, :]
    return kernels.reshape(factor * factor, 1, 5, 5).float()
