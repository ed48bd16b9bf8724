"""Measures of likeness between a picture and the truth."""

import torch
from kornia import metrics
from torch import Tensor

FACE_REGION = (0.25, 0.90, 0.20, 0.80)
"""Top, bottom, left and right of what is measured, as fractions of the crop's side: forehead to
chin and cheek to cheek. Hair and background would drown the face."""


def face_region(picture: Tensor) -> Tensor:
    """The part of a canonical crop that is measured; (N, C, S, S) to (N, C, h, w)."""
    side = picture.shape[-1]
    top, bottom, left, right = (round(fraction * side) for fraction in FACE_REGION)
    return picture[..., top:bottom, left:right]


def psnr(prediction: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over all channels, one for each picture; (N,).

    Args: prediction, truth: (N, C, H, W) in [0, 1]; the prediction is clamped to it.
    """
    error = (prediction.clamp(0, 1) - truth).square().mean((1, 2, 3))
    return -10 * torch.log10(error)


def ssim(prediction: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity, mean over pixels and channels, one for each picture; (N,).

    Args:   prediction, truth: (N, C, H, W) in [0, 1], at least 11 pixels each way.
    Source: Wang et al. 2004, with its Gaussian window and constants, as kornia has it.
    """
    likeness: Tensor = metrics.ssim(prediction.clamp(0, 1), truth, window_size=11, padding="valid")
    return likeness.mean((1, 2, 3))
