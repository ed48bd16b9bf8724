"""A maker of pictures against a discriminator: the terms of both sides."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from crsr_video.training.losses import feature_matching, hinge_critic, hinge_maker


def maker_terms(
    name: str,
    critic: nn.Module,
    made: Tensor,
    truth: Tensor | None = None,
    *,
    weight: float,
    matching: float = 0.0,
) -> dict[str, Tensor]:
    """What the maker of `made` is told by a critic.

    Args: name: of the terms, for the log.
          truth: the pictures that should have been made, for feature matching.
          weight: of the adversarial term. matching: of feature matching.
    """
    with fixed(critic):
        judged = critic(made)
        terms = {f"{name}_adversarial": weight * hinge_maker(judged[-1])}
        if truth is not None and matching > 0:
            with torch.no_grad():
                wanted = critic(truth)
            terms[f"{name}_matching"] = matching * feature_matching(wanted, judged)
    return terms


def critic_terms(name: str, critic: nn.Module, real: Tensor, made: Tensor) -> dict[str, Tensor]:
    """What the critic of a domain is told."""
    return {f"{name}_critic": hinge_critic(critic(real)[-1], critic(made.detach())[-1])}


@contextmanager
def fixed(network: nn.Module) -> Iterator[None]:
    """No gradients for the critic's own weights: they would be computed and thrown away."""
    trained = [p for p in network.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
