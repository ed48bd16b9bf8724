"""What the networks are trained for; each loss stands alone.

Our reconstruction of the paper's objective, with *paired* supervision: the degraded picture d is
made from the target y, so the artificial LR a = down(y) that the consistifier should return is
known. There is no adversarial term yet, so nothing here rewards texture that cannot be inferred.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def charbonnier(prediction: Tensor, target: Tensor, softness: float = 1e-3) -> Tensor:
    """Mean of sqrt(difference^2 + softness^2) - softness: L1 that is smooth at zero.

    Args:    prediction, target: one shape, values in [0, 1].
    Returns: a scalar; 0 where both agree.
    Source:  Charbonnier et al. 1994; used for super-resolution by LapSRN (Lai et al. 2017).
    """
    difference = prediction.float() - target.float()
    return (difference.square() + softness**2).sqrt().mean() - softness


def characteristic(
    consistent: Tensor, kept: Tensor, artificial: Tensor, *, toward: float, keep: float
) -> Tensor:
    """The characteristic regularisation, at LR: what the consistifier itself must answer for.

    Args:    consistent: phi(d), (N, 3, T, T).
             kept: phi(a) of the first M pictures.
             artificial: a, (N, 3, T, T).
             toward: weight of phi(d) = a.
             keep: weight of phi(a) = a.
    """
    identity = charbonnier(kept, artificial[: len(kept)])
    return toward * charbonnier(consistent, artificial) + keep * identity


@dataclass(frozen=True)
class Weights:
    """What each term counts, against 1 for the picture from degraded input."""

    clean: float = 0.5
    """psi(a) = y."""
    toward: float = 0.5
    """phi(d) = a."""
    keep: float = 0.25
    """phi(a) = a."""


def is_finite(loss: Tensor) -> bool:
    """Whether training can go on from this."""
    return bool(torch.isfinite(loss))
