"""Distances between two sets of pictures, by their features: how alike the sets are as a whole.

Both depend on the number of pictures, so compare only figures made with the same numbers.
"""

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TrainingError

Features = NDArray[np.float64]

SUBSETS = 100
"""Subsets that KID is the mean of."""
SUBSET = 100
"""Pictures in each, of both sets."""


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


def kid(
    a: Features, b: Features, *, subsets: int = SUBSETS, size: int = SUBSET, seed: int = 0
) -> tuple[float, float]:
    """Kernel distance: unbiased squared MMD with the kernel (x.y / D + 1)^3.

    Args:    a, b: (N, D) and (M, D). size: of each subset, less when a set is smaller.
             seed: which subsets.
    Returns: mean over the subsets, and its standard error. It may be below zero.
    Raises:  TrainingError: fewer than two pictures in a set.
    Source:  Binkowski et al. 2018, "Demystifying MMD GANs".
    """
    _check(a, b)
    size = min(size, len(a), len(b))
    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(subsets):
        i = rng.choice(len(a), size, replace=False)
        j = rng.choice(len(b), size, replace=False)
        found.append(_mmd(aa[np.ix_(i, i)], bb[np.ix_(j, j)], ab[np.ix_(i, j)]))
    return float(np.mean(found)), float(np.std(found) / np.sqrt(subsets))


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


def _mmd(aa: Features, bb: Features, ab: Features) -> float:
    """Unbiased: pictures are not compared with themselves."""
    n = len(aa)
    within = (aa.sum() - np.trace(aa) + bb.sum() - np.trace(bb)) / (n * (n - 1))
    return float(within - 2 * ab.mean())


def _check(a: Features, b: Features) -> None:
    if min(len(a), len(b)) < 2:
        raise TrainingError("a distance between sets needs two pictures in each")
