"""Training of the super-resolver alone: step 1 of the method, and two baselines.

    L = pix(psi(x), y) + w_a adv(psi(x))

with x = a, the artificial LR (conventional super-resolution), or x = d, synthetically degraded
(blind super-resolution). There is no consistifier and no genuine footage.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crsr_video.training.draws import Draw, DrawSettings
from crsr_video.training.losses import charbonnier, discriminator_terms, generator_terms
from crsr_video.training.method import HIGH, TrainingMethod, joined
from crsr_video.training.run import NetworkSpec, Run


@dataclass(frozen=True, kw_only=True)
class SuperResolution(TrainingMethod):
    """Train psi on pairs."""

    name: ClassVar[str] = "sr"
    blind: bool = False
    """Replace three quarters of the artificial LR input by degraded input."""
    adversarial: float = 0.0
    """Weight of the adversarial term; 0 trains without a discriminator."""

    @property
    def draw_settings(self) -> DrawSettings:
        """Settings for pairs, whose input is degraded for blind super-resolution."""
        return DrawSettings(tiers=self.tiers, degraded=self.blind)

    def specs(self) -> dict[str, NetworkSpec]:
        """Return psi, and a discriminator if one is needed."""
        specs = {"superresolver": self._superresolver()}
        if self.adversarial:
            specs["discriminator_picture"] = self._discriminator(HIGH)
        return specs

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """Train for one step, and return the loss terms by name."""
        small = draw.artificial
        if draw.degraded is not None:
            plain = len(small) // 4
            small = torch.cat([small[:plain], draw.degraded[plain:]])
        with run.autocast():
            generators, discriminators = from_pairs(run, small, draw.target, self)
        return self._update(run, rate, generators, discriminators)


def from_pairs(
    run: Run, small: Tensor, target: Tensor, weights: "SuperResolution"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the loss terms of the super-resolver and of its discriminator for pairs.

    Args:
        run: Holds the super-resolver, and the discriminator if its weight is not zero.
        small: Input of the super-resolver, (N, 3, T, T).
        target: The ground truth, (N, 3, 4T, 4T).
        weights: Gives the weights of the terms.
    """
    generated = run["superresolver"](joined(small))
    generators = {"pixel": charbonnier(generated, target)}
    if not weights.adversarial:
        return generators, {}
    discriminator = run["discriminator_picture"]
    generators |= generator_terms("picture", discriminator, generated, weight=weights.adversarial)
    return generators, discriminator_terms("picture", discriminator, target, generated)
