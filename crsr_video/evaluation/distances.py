"""Distances between two sets of pictures, computed from their features: Frechet distance and KID.

Both distances depend on the number of pictures, so compare only values for equal numbers.
"""

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TrainingError

Features = NDArray[np.float64]


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
    _check(a, b)
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
    value = _within(aa.sum(), len(a)) + _within(bb.sum(), len(b)) - 2 * ab.mean()
    variance = _left_out(aa, ab, bb) + _left_out(bb, ab.T, aa)
    return float(value), float(np.sqrt(variance))


def _within(total: Features, count: int) -> Features:
    """Return the mean of the kernel over pairs of different pictures, given the sum over them."""
    return total / (count * (count - 1))


def _left_out(xx: Features, xy: Features, yy: Features) -> float:
    """Return the part of the jackknife variance that comes from leaving out pictures of `xx`."""
    n, m = xy.shape
    without = (
        _within(xx.sum() - 2 * xx.sum(1), n - 1)
        + _within(yy.sum(), m)
        - 2 * (xy.sum() - xy.sum(1)) / ((n - 1) * m)
    )
    return float((n - 1) / n * np.square(without - without.mean()).sum())


def kernel(x: Features, y: Features) -> Features:
    """Return (x.y / D + 1)^3 for all pairs of rows of (N, D) and (M, D), as (N, M)."""
    values: Features = (x @ y.T / x.shape[1] + 1) ** 3
    return values


def spread(features: Features) -> Features:
    """Scale rows to the length sqrt(D), so that x.y / D in the kernel is the cosine of two rows.

    Embeddings of a recognition network are short vectors with many dimensions. Without scaling, the
    products in the kernel would be almost zero, and only the means would count.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: Features = features / np.maximum(lengths, 1e-12) * np.sqrt(features.shape[1])
    return scaled


def _check(a: Features, b: Features) -> None:
    if min(len(a), len(b)) < 2:
        raise TrainingError("a distance between sets needs two pictures in each")
