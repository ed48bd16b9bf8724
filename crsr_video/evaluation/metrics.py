"""Measures of pictures, and distances between sets of pictures.

The distances depend on the number of pictures, so compare only values for equal numbers.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.training.genuine import NPZ_FRAME, Framing

Features = NDArray[np.float64]
"""Features (N, D) of N pictures."""

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


def frechet_distance(a: Features, b: Features) -> float:
    """Return the Frechet distance of two Gaussians with the means and covariances of the sets.

    |m - n|^2 + tr(A) + tr(B) - 2 tr((A B)^1/2). The last trace equals that of (A^1/2 B A^1/2)^1/2,
    which is symmetric, so its eigenvalues are real and not negative even for few pictures.

    Source: Dowson and Landau 1982; Heusel et al. 2017 for its use on pictures.

    Args:
        a: Features (N, D).
        b: Features (M, D).

    Raises:
        TrainingError: If a set has fewer than two pictures.
    """
    if min(len(a), len(b)) < 2:
        raise TrainingError("a distance between sets needs two pictures in each")
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(np.atleast_2d(first))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    joint = np.linalg.eigvalsh(root @ np.atleast_2d(second) @ root)
    apart = a.mean(0) - b.mean(0)
    traces = np.trace(np.atleast_2d(first)) + np.trace(np.atleast_2d(second))
    return float(max(0.0, apart @ apart + traces - 2 * np.sqrt(joint.clip(0)).sum()))


def kid(a: Features, b: Features) -> tuple[float, float]:
    """Return the kernel inception distance: unbiased squared MMD with kernel (x.y / D + 1)^3.

    The standard error is computed by the jackknife, which leaves out each picture once. The usual
    method takes it from many overlapping subsets. That estimate approaches zero as the number of
    subsets grows, however few pictures there are.

    Source: Binkowski et al. 2018, "Demystifying MMD GANs"; Efron and Stein 1981 for the jackknife.

    Args:
        a: Features (N, D).
        b: Features (M, D).

    Returns:
        The distance, which may be negative, and its standard error.

    Raises:
        TrainingError: If a set has fewer than three pictures.
    """
    if min(len(a), len(b)) < 3:
        raise TrainingError("a kernel distance needs three pictures in each set")
    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    np.fill_diagonal(aa, 0.0)  # Pictures are not compared with themselves.
    np.fill_diagonal(bb, 0.0)
    value = _mean_of_pairs(aa.sum(), len(a)) + _mean_of_pairs(bb.sum(), len(b)) - 2 * ab.mean()
    variance = _jackknife_variance(aa, ab, bb) + _jackknife_variance(bb, ab.T, aa)
    return float(value), float(np.sqrt(variance))


def _mean_of_pairs(total: Features, count: int) -> Features:
    return total / (count * (count - 1))


def _jackknife_variance(xx: Features, xy: Features, yy: Features) -> float:
    """Return the part of the variance that comes from leaving out pictures of `xx`."""
    n, m = xy.shape
    without = (
        _mean_of_pairs(xx.sum() - 2 * xx.sum(1), n - 1)
        + _mean_of_pairs(yy.sum(), m)
        - 2 * (xy.sum() - xy.sum(1)) / ((n - 1) * m)
    )
    return float((n - 1) / n * np.square(without - without.mean()).sum())


def kernel(x: Features, y: Features) -> Features:
    """Return (x.y / D + 1)^3 for all pairs of rows of (N, D) and (M, D), as (N, M)."""
    values: Features = (x @ y.T / x.shape[1] + 1) ** 3
    return values


def unit_rms(features: Features) -> Features:
    """Scale rows to an RMS of 1, so that x.y / D in the kernel is the cosine of two rows.

    Embeddings of a recognition network are short vectors with many dimensions. Without scaling, the
    products in the kernel would be almost zero, and only the means would count.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: Features = features / np.maximum(lengths, 1e-12) * np.sqrt(features.shape[1])
    return scaled
