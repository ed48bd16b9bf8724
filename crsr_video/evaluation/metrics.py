"""Measures of likeness between a picture and the truth."""

import torch
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.evaluation.framings import CANONICAL
from crsr_video.training.genuine import Framing

FACE_REGION = (0.25, 0.90, 0.20, 0.80)
"""Top, bottom, left and right of what is measured, as fractions of the crop's side: forehead to
chin and cheek to cheek. Hair and background would drown the face."""


def face_region(picture: Tensor, framing: Framing = CANONICAL) -> Tensor:
    """The part of a picture that is measured; (N, C, S, S) to (N, C, h, w).

    Args: framing: what the picture shows of the canonical crop.
    """
    side = picture.shape[-1]
    left_edge = 0.5 - framing.scale / 2
    edges = (left_edge + framing.dy, left_edge + framing.dy, left_edge, left_edge)
    top, bottom, left, right = (
        round(min(1.0, max(0.0, (fraction - edge) / framing.scale)) * side)
        for fraction, edge in zip(FACE_REGION, edges, strict=True)
    )
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
    try:
        from kornia import metrics
    except ImportError as error:
        raise TrainingError('SSIM needs an extra: pip install "crsr-video[eval]"') from error
    likeness: Tensor = metrics.ssim(prediction.clamp(0, 1), truth, window_size=11, padding="valid")
    return likeness.mean((1, 2, 3))
