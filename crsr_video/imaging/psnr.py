"""Peak signal-to-noise ratio."""

import torch
from torch import Tensor

MAX_PSNR = 100.0
"""PSNR of equal pictures in dB, so that means stay finite."""


def psnr(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each picture in dB over all channels, (N,).

    Args:
        prediction: (N, C, H, W), clamped to [0, 1].
        truth: (N, C, H, W) in [0, 1].
    """
    error = (prediction.clamp(0, 1) - truth).square().mean((1, 2, 3))
    return -10 * torch.log10(error.clamp_min(10 ** (-MAX_PSNR / 10)))
