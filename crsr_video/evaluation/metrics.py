"""The measured region of a face, and its structural similarity."""

from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.training.genuine import NPZ_FRAME, Framing

CANONICAL = Framing(scale=1.0, dy=0.0)
"""The whole canonical crop."""
FRAMINGS = {"canonical": CANONICAL, "wider": NPZ_FRAME}
"""Framings by their names on the command line."""

FACE_REGION = (0.25, 0.90, 0.20, 0.80)
"""Top, bottom, left and right of the measured region as fractions of the crop, from forehead to
chin and from cheek to cheek. Hair and background would dominate the measures."""


def face_region(picture: Tensor, framing: Framing = CANONICAL) -> Tensor:
    """Cut out the measured region: (N, C, S, S) to (N, C, h, w).

    Args:
        picture: Pictures of faces.
        framing: Part of the canonical crop that the pictures show.
    """
    side = picture.shape[-1]
    left_edge = 0.5 - framing.scale / 2
    edges = (left_edge + framing.dy, left_edge + framing.dy, left_edge, left_edge)
    top, bottom, left, right = (
        round(min(1.0, max(0.0, (fraction - edge) / framing.scale)) * side)
        for fraction, edge in zip(FACE_REGION, edges, strict=True)
    )
    return picture[..., top:bottom, left:right]


def ssim(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity of each picture as a mean over pixels and channels, (N,).

    Source: Wang et al. 2004. Computed by kornia with the paper's Gaussian window and constants.

    Args:
        prediction: (N, C, H, W), clamped to [0, 1], with at least 11 pixels on each side.
        truth: (N, C, H, W) in [0, 1].
    """
    try:
        from kornia import metrics
    except ImportError as error:
        raise TrainingError('SSIM needs an extra: pip install "crsr-video[eval]"') from error
    similarity: Tensor = metrics.ssim(
        prediction.clamp(0, 1), truth, window_size=11, padding="valid"
    )
    return similarity.mean((1, 2, 3))
