"""Distances between two sets of pictures, by their features: how alike the sets are as a whole.

Both depend on the number of pictures, so compare only figures made with the same numbers.
"""

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TrainingError

Features = NDArray[np.float64]


def frechet_distance(a: Features, b: Features) -> float:
    """Frechet distance of two Gaussians that have the sets' means and covariances.

    |m - n|^2 + tr(A) + tr(B) - 2 tr((A B)^1/2), where the last trace is also that of
    (A^1/2 B A^1/2)^1/2: symmetric, so real eigenvalues that are nowhere negative, whatever rounding
    does and however few pictures there are.
    Args:   a, b: (N, D) and (M, D).
    Raises: TrainingError: fewer than two pictures in a set.
    Source: Dowson and Landau 1982; Heusel et al. 2017 for pictures.
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
    """Kernel distance: unbiased squared MMD with the kernel (x.y / D + 1)^3, over all pictures.

    The standard error is the jackknife's: each picture of either set is left out once. (The spread
    over overlapping subsets, divided by the root of their number, is not one: it goes to zero as
    subsets are added, however few pictures there are.)
    Args:    a, b: (N, D) and (M, D).
    Returns: the distance, which may be below zero, and its standard error.
    Raises:  TrainingError: fewer than three pictures in a set.
    Source:  Binkowski et al. 2018, "Demystifying MMD GANs"; Efron and Stein 1981, the jackknife.
    """
    if min(len(a), len(b)) < 3:
        raise TrainingError("a kernel distance needs three pictures in each set")
    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    np.fill_diagonal(aa, 0.0)  # pictures are not compared with themselves
    np.fill_diagonal(bb, 0.0)
    value = _within(aa.sum(), len(a)) + _within(bb.sum(), len(b)) - 2 * ab.mean()
    variance = _left_out(aa, ab, bb) + _left_out(bb, ab.T, aa)
    return float(value), float(np.sqrt(variance))


def _within(total: Features, count: int) -> Features:
    """Mean of a kernel over pairs of different pictures."""
    return total / (count * (count - 1))


def _left_out(xx: Features, xy: Features, yy: Features) -> float:
    """The jackknife's variance from the pictures of one set."""
    n, m = xy.shape
    without = (
        _within(xx.sum() - 2 * xx.sum(1), n - 1)
        + _within(yy.sum(), m)
        - 2 * (xy.sum() - xy.sum(1)) / ((n - 1) * m)
    )
    return float((n - 1) / n * np.square(without - without.mean()).sum())


def kernel(x: Features, y: Features) -> Features:
    """(x.y / D + 1)^3 of every row with every other; (N, D) and (M, D) to (N, M)."""
    values: Features = (x @ y.T / x.shape[1] + 1) ** 3
    return values


def spread(features: Features) -> Features:
    """Rows scaled to a length of sqrt(D), so that x.y / D in the kernel is their cosine.

    A recognition network's embeddings are short and many-dimensional: their products over D are
    nearly nothing, and the cubic kernel would see no more than their means.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: Features = features / np.maximum(lengths, 1e-12) * np.sqrt(features.shape[1])
    return scaled


def _check(a: Features, b: Features) -> None:
    if min(len(a), len(b)) < 2:
        raise TrainingError("a distance between sets needs two pictures in each")
