"""Fast pixel shuffles, which turn channels of sub-pixels into a larger picture."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.networks.blocks import cubic_phases

_REACH = 2
"""Number of pixels beyond the edge that the cubic kernels use."""


def fast_pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """Return `functional.pixel_shuffle` of a channels-last float32 tensor (N, 3 * f * f, H, W).

    Neighbouring sub-pixels of a row are adjacent in memory before and after the shuffle. Moving
    four of them as one value of 16 bytes takes a sixth of the time.
    """
    joined = {2: torch.complex64, 4: torch.complex128}.get(factor)
    if joined is None or not x.is_contiguous(memory_format=torch.channels_last):
        return functional.pixel_shuffle(x, factor).contiguous()
    count, _, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).view(joined).view(count, height, width, 3, factor)
    moved = rows.permute(0, 3, 1, 4, 2).contiguous().view(torch.float32)
    return moved.view(count, 3, factor * height, factor * width)


def subpixels_first(weight: Tensor) -> Tensor:
    """Reorder a convolution's output channels as `pixel_shuffle_by_two` needs them.

    Args:
        weight: Weights (4C, ...) or biases (4C,); channel 4c + s is sub-pixel s of channel c.
    """
    grouped = weight.reshape(-1, 4, *weight.shape[1:])
    return grouped.transpose(0, 1).reshape(weight.shape)


def pixel_shuffle_by_two(x: Tensor) -> Tensor:
    """Return the pixel shuffle by 2 of channels that `subpixels_first` has reordered.

    The channels of two neighbouring sub-pixels are adjacent in memory before and after the shuffle,
    so they are moved together.

    Args:
        x: (N, 4C, H, W), channels last.

    Returns:
        (N, C, 2H, 2W), channels last.
    """
    count, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(count, height, width, 2, channels // 2)
    moved = rows.transpose(2, 3).reshape(count, 2 * height, 2 * width, channels // 4)
    return moved.permute(0, 3, 1, 2)


def cubic_subpixels(picture: Tensor, factor: int) -> Tensor:
    """Compute the sub-pixels of `blocks.enlarge`, before they are moved to their positions.

    Args:
        picture: float32 (N, 3, H, W).
        factor: Enlargement.

    Returns:
        float32 (N, 3 * f * f, H, W), channels last.
    """
    padded = functional.pad(picture, (_REACH,) * 4, mode="replicate")
    padded = padded.contiguous(memory_format=torch.channels_last)
    return functional.conv2d(padded, _kernels(factor, picture.device), groups=3)


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def _kernels(factor: int, device: torch.device) -> Tensor:
    kernels = cubic_phases(factor).repeat(3, 1, 1, 1)
    return kernels.contiguous(memory_format=torch.channels_last).to(device)
