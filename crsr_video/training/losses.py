"""What the networks are trained for; each loss stands alone.

Names as in the method (our reconstruction): y is a perfect picture, a its artificial LR, g genuine
LR, phi the consistifier, psi the super-resolver, rho the reverse network. All losses are scalars,
means over all values, computed in float32.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def charbonnier(prediction: Tensor, target: Tensor, softness: float = 1e-3) -> Tensor:
    """Mean of sqrt(difference^2 + softness^2) - softness: L1 that is smooth at zero.

    Args:    prediction, target: one shape, values in [0, 1].
    Returns: a scalar; 0 where both agree.
    Source:  Charbonnier et al. 1994; used for super-resolution by LapSRN (Lai et al. 2017).
    """
    difference = prediction.float() - target.float()
    return (difference.square() + softness**2).sqrt().mean() - softness


def hinge_critic(real: Tensor, made: Tensor) -> Tensor:
    """What a discriminator minimises: real verdicts above 1, those of made pictures below -1.

    Args:   real, made: verdicts, any shapes.
    Source: Lim and Ye 2017, Miyato et al. 2018.
    """
    return functional.relu(1 - real.float()).mean() + functional.relu(1 + made.float()).mean()


def hinge_maker(made: Tensor) -> Tensor:
    """What the maker of pictures minimises: minus their mean verdict."""
    return -made.float().mean()


def feature_matching(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of a discriminator's features of a picture and of its truth.

    Args:   real, made: what `Discriminator` returns; the verdicts, last, do not count.
    Source: Wang et al. 2018 (pix2pixHD).
    """
    terms = [
        functional.l1_loss(m.float(), r.detach().float())
        for r, m in zip(real[:-1], made[:-1], strict=True)
    ]
    return torch.stack(terms).mean()


def identity(kept: Tensor, artificial: Tensor) -> Tensor:
    """phi(a) = a: what is consistent already must pass unchanged.

    Args: kept: phi(a), (N, 3, T, T). artificial: a.
    """
    return charbonnier(kept, artificial)


def cycle(returned: Tensor, start: Tensor) -> Tensor:
    """There and back again is where it began: rho(phi(g)) = g, phi(rho(a)) = a.

    Source: Zhu et al. 2017 (CycleGAN).
    """
    return charbonnier(returned, start)


def content(consistent: Tensor, genuine: Tensor, cells: int = 8) -> Tensor:
    """phi(g) keeps what g surely shows: its low frequencies, and with them who it is.

    Args: consistent: phi(g), (N, 3, T, T). genuine: g. cells: to a side of the averaged pictures.
    """
    return charbonnier(low(consistent, cells), low(genuine, cells))


def low(picture: Tensor, cells: int) -> Tensor:
    """Averages over a grid; (N, 3, H, W) to (N, 3, cells, cells)."""
    return functional.adaptive_avg_pool2d(picture.float(), cells)


def characteristic(
    consistent: Tensor, kept: Tensor, artificial: Tensor, *, toward: float, keep: float
) -> Tensor:
    """The characteristic regularisation, at LR: what the consistifier itself must answer for.

    It keeps the two tasks apart: whatever the picture behind asks, phi must return a.
    Args:    consistent: phi of a bad version of a (synthetic d, or rho(a)), (N, 3, T, T).
             kept: phi(a) of the first M pictures.
             artificial: a, (N, 3, T, T).
             toward: weight of phi(bad a) = a.
             keep: weight of phi(a) = a.
    """
    return toward * charbonnier(consistent, artificial) + keep * identity(
        kept, artificial[: len(kept)]
    )


def feature_difference(made: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Mean over feature maps of their L1 difference, relative to the mean size of the truth's.

    Args: made, truth: maps of one frozen network, (N, C, H, W) each.
    """
    terms = [
        functional.l1_loss(m.float(), t.float()) / t.float().abs().mean().clamp_min(1e-6)
        for m, t in zip(made, truth, strict=True)
    ]
    return torch.stack(terms).mean()


def identity_difference(
    made: tuple[Tensor, Sequence[Tensor]], truth: tuple[Tensor, Sequence[Tensor]]
) -> Tensor:
    """How unlike two faces are: 1 - cosine of their embeddings, and a tenth of their maps' L1.

    Args: made, truth: as `recognition.RecognitionNetwork` returns them.
    """
    cosine = functional.cosine_similarity(made[0].float(), truth[0].float()).mean()
    return 1 - cosine + 0.1 * feature_difference(made[1], truth[1])


_CHROMA = torch.tensor([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""Rows of Cb and Cr in the JPEG matrix."""


def chroma_difference(
    made: Tensor, truth: Tensor, cell: int = 8, weights: Tensor | None = None
) -> Tensor:
    """Difference of the slowly varying chroma: texture may change light and dark, not colour.

    Args: made, truth: (N, 3, H, W). cell: pixels to a side that are averaged.
          weights: of the places, (H, W) with a mean of one; None: all alike.
    """
    difference = made.float() - truth.float()
    chroma = torch.einsum("kc,nchw->nkhw", _CHROMA.to(difference), difference)
    coarse = functional.avg_pool2d(chroma, cell)
    size = (coarse.square() + 1e-6).sqrt() - 1e-3
    if weights is not None:
        size = size * functional.avg_pool2d(weights[None], cell)
    return size.mean()
