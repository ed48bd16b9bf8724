"""Loss functions.

Notation of the method, as we reconstructed it: `y` is a perfect picture, `a` is the low-resolution
picture made from `y`, `d` is the picture `a` after synthetic degradation, and `g` is a genuine
low-resolution picture. `phi` is the consistifier, `psi` is the super-resolver and `rho` is the
reverse network. All losses are scalars: means over all values, computed in float32.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

_CHROMA = torch.tensor([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""Rows of the JPEG matrix that compute Cb and Cr from RGB."""


def charbonnier(prediction: Tensor, target: Tensor, softness: float = 1e-3) -> Tensor:
    """Mean of sqrt(difference^2 + softness^2) - softness: an L1 loss that is smooth at zero.

    Source: Charbonnier et al. 1994; used for super-resolution by LapSRN (Lai et al. 2017).

    Args:
        prediction: Any shape, values in [0, 1].
        target: The same shape.
        softness: Difference below which the loss is nearly quadratic.

    Returns:
        A scalar, 0 if both are equal.
    """
    difference = prediction.float() - target.float()
    return (difference.square() + softness**2).sqrt().mean() - softness


def low_frequency_difference(prediction: Tensor, target: Tensor, cells: int) -> Tensor:
    """Charbonnier loss of (N, 3, H, W) pictures after averaging over a grid of cells x cells."""
    first, second = (
        functional.adaptive_avg_pool2d(picture.float(), cells) for picture in (prediction, target)
    )
    return charbonnier(first, second)


def hinge_discriminator(real: Tensor, generated: Tensor) -> Tensor:
    """Loss of a discriminator. It is 0 if real scores exceed 1 and generated ones are below -1.

    Source: Lim and Ye 2017, Miyato et al. 2018.
    """
    return functional.relu(1 - real.float()).mean() + functional.relu(1 + generated.float()).mean()


def hinge_generator(generated: Tensor) -> Tensor:
    """Loss of a generator, which decreases as the scores of its pictures increase."""
    return -generated.float().mean()


def generator_terms(
    name: str, discriminator: nn.Module, generated: Tensor, *, weight: float
) -> dict[str, Tensor]:
    """Return the weighted loss of the generator from a discriminator, under its name in the log."""
    with frozen(discriminator):
        scores = discriminator(generated)[-1]
    return {f"{name}_adversarial": weight * hinge_generator(scores)}


def discriminator_terms(
    name: str, discriminator: nn.Module, real: Tensor, generated: Tensor
) -> dict[str, Tensor]:
    """Hinge loss of a discriminator on real and generated pictures, under its name in the log."""
    scores = discriminator(real)[-1], discriminator(generated.detach())[-1]
    return {f"{name}_discriminator": hinge_discriminator(*scores)}


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Compute no gradients of a network's weights, because the generator's step discards them."""
    trained = [p for p in network.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def feature_difference(generated: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Mean of the feature maps' L1 differences, each divided by the truth map's mean magnitude.

    Args:
        generated: Feature maps of a frozen network for the generated pictures, (N, C, H, W) each.
        truth: Feature maps of the same network for the ground truth.
    """
    terms = [
        functional.l1_loss(g.float(), t.float()) / t.float().abs().mean().clamp_min(1e-6)
        for g, t in zip(generated, truth, strict=True)
    ]
    return torch.stack(terms).mean()


def identity_difference(
    generated: tuple[Tensor, Sequence[Tensor]], truth: tuple[Tensor, Sequence[Tensor]]
) -> Tensor:
    """One minus the cosine similarity of two embeddings, plus a tenth of `feature_difference`.

    Args:
        generated: Output of `networks.recognition.RecognitionNetwork` for the generated pictures.
        truth: Output of the same network for the ground truth.
    """
    cosine = functional.cosine_similarity(generated[0].float(), truth[0].float()).mean()
    return 1 - cosine + 0.1 * feature_difference(generated[1], truth[1])


def chroma_difference(
    generated: Tensor,
    truth: Tensor,
    cell: int = 8,
    weights: Tensor | None = None,
    *,
    with_luma: bool = False,
) -> Tensor:
    """Difference of chroma after averaging over cells, so that added texture changes only luma.

    Args:
        generated: (N, 3, H, W).
        truth: (N, 3, H, W).
        cell: Side in pixels of the square cells over which chroma is averaged.
        weights: Weight of each pixel, (H, W) with a mean of 1. By default, all weights are equal.
        with_luma: Compare the whole colour, so that texture must not change the brightness either.
    """
    difference = generated.float() - truth.float()
    if not with_luma:
        difference = torch.einsum("kc,nchw->nkhw", _CHROMA.to(difference), difference)
    coarse = functional.avg_pool2d(difference, cell)
    size = (coarse.square() + 1e-6).sqrt() - 1e-3
    if weights is not None:
        size = size * functional.avg_pool2d(weights[None], cell)
    return size.mean()
