"""Methods that train one network to enlarge: step 1 of the method, baselines, and whole frames.

    L = pix(psi(x), y) + w_a adv(psi(x))

with x = a, the artificial LR (conventional super-resolution), or x = d, synthetically degraded
(blind super-resolution). There is no consistifier and no genuine footage. Two baselines do use
genuine footage: end-to-end domain adaptation by cycle consistency, and a degradation GAN that is
trained before super-resolution.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from crsr_video.networks import BackgroundNetwork
from crsr_video.training.data import Tier
from crsr_video.training.degrade import FACTOR, clean
from crsr_video.training.draws import Draw, DrawSettings
from crsr_video.training.losses import charbonnier, discriminator_terms, generator_terms
from crsr_video.training.method import HIGH, LOW, Schedule, TrainingMethod, joined
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


_PATCH_TIERS = (Tier(64, 64, 16, 1.0),)
"""Batches for patches of 256 pixels, see `prepare.prepare_patches`."""


@dataclass(frozen=True, kw_only=True)
class BackgroundTraining(TrainingMethod):
    """Train the network for whole frames on patches.

        L = pix(chi(x), y)

    with x = d or, for a part of each batch, x = a. Each step draws one of the factors 1, 2 and 4.
    With factor 1, a equals y: the network learns to leave alone what is good.
    """

    name: ClassVar[str] = "background"
    tiers: tuple[Tier, ...] = _PATCH_TIERS
    schedule: Schedule = field(default_factory=lambda: Schedule(peak=1e-3))
    clean_share: float = 0.25
    """Part of each batch whose input is a."""
    extra: float = 0.15
    """Share of pictures with one of `degradations.EXTRA_KINDS`."""

    @property
    def draw_settings(self) -> DrawSettings:
        """Degraded pairs at every factor."""
        return DrawSettings(
            tiers=self.tiers, degraded=True, extra=self.extra, factors=BackgroundNetwork.factors
        )

    def specs(self) -> dict[str, NetworkSpec]:
        """Return the network."""
        return {"background": NetworkSpec("background")}

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """Train for one step, and return the loss."""
        assert draw.degraded is not None
        clean = round(self.clean_share * len(draw.target))
        small = torch.cat([draw.artificial[:clean], draw.degraded[clean:]])
        factor = draw.target.shape[-1] // small.shape[-1]
        with run.autocast():
            term = charbonnier(run["background"](joined(small), factor), draw.target)
        return self._update(run, rate, {"pixel": term}, {})


@dataclass(frozen=True, kw_only=True)
class CycleAdaptation(TrainingMethod):
    """Unsupervised domain adaptation through two concatenated networks.

    G = psi(phi(.)) maps genuine LR to HR, and R = rho(down(.)) maps HR back. Both directions have
    an adversarial term and a cycle; G also learns from pairs (a, y). There is no loss between phi
    and psi, and all gradients pass through both.

    Source: Zhu et al. 2017, as the paper's introduction describes its use for super-resolution.
    """

    name: ClassVar[str] = "uda"
    pixel: float = 1.0
    adversarial: float = 0.005
    """Weight of the adversarial term of the picture."""
    low: float = 0.02
    """Weight of the adversarial term of R(y), at low resolution."""
    there: float = 0.25
    """Weight of the cycle term R(G(g)) = g."""
    back: float = 1.0
    """Weight of the cycle term G(R(y)) = y."""

    def specs(self) -> dict[str, NetworkSpec]:
        """Return the method's networks without the discriminator of artificial LR."""
        return {
            "consistifier": self._consistifier(),
            "superresolver": self._superresolver(),
            "reverse": self._reverse(),
            "discriminator_genuine": self._discriminator(LOW),
            "discriminator_picture": self._discriminator(HIGH),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """Update once."""
        genuine, target = draw.genuine, draw.target
        assert genuine is not None
        rho = run["reverse"]
        of_picture, of_genuine = run["discriminator_picture"], run["discriminator_genuine"]
        with run.autocast():
            degraded = rho(draw.artificial, draw.noise)
            small = run["consistifier"](joined(genuine, draw.artificial, degraded))
            generated, plain, restored = run["superresolver"](joined(small)).chunk(3)
            again = rho(clean(generated.float()), torch.zeros_like(draw.noise))
            generators = {
                "pixel": self.pixel * charbonnier(plain, target),
                "back": self.back * charbonnier(restored, target),
                "there": self.there * charbonnier(again, genuine),
                **generator_terms("picture", of_picture, generated, weight=self.adversarial),
                **generator_terms("genuine", of_genuine, degraded, weight=self.low),
            }
            discriminators = {
                **discriminator_terms("picture", of_picture, target, generated),
                **discriminator_terms("genuine", of_genuine, genuine, degraded),
            }
        return self._update(run, rate, generators, discriminators)


@dataclass(frozen=True, kw_only=True)
class DegradationFirst(SuperResolution):
    """Learn degradation from genuine footage, and then super-resolution of degraded pictures.

    Layers and schedule are ours. As in the source, the degradation network sees the high-resolution
    picture.

    Source: Bulat, Yang and Tzimiropoulos 2018, "To learn image super-resolution, use a GAN to learn
    how to do image degradation first".
    """

    name: ClassVar[str] = "lrgan"
    adversarial: float = 0.05
    """Weight of the adversarial term of the picture."""
    first: float = 0.33
    """Share of the schedule in which only the degradation is trained."""
    low: float = 0.05
    """Weight of the adversarial term of rho(y), at low resolution."""
    anchor: float = 1.0
    """Weight of the term rho(y) = a, which restrains the adversarial term."""

    @property
    def draw_settings(self) -> DrawSettings:
        """HR and genuine LR of different people."""
        return DrawSettings(tiers=self.tiers, genuine=True)

    def specs(self) -> dict[str, NetworkSpec]:
        """Return psi, rho and two discriminators."""
        return {
            "superresolver": self._superresolver(),
            "reverse": self._reverse(factor=FACTOR),
            "discriminator_genuine": self._discriminator(LOW),
            "discriminator_picture": self._discriminator(HIGH),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """Update one of the two networks once."""
        assert draw.genuine is not None
        degrades = run.progress < self.first
        with run.autocast(), torch.set_grad_enabled(degrades):
            degraded = run["reverse"](draw.artificial, draw.noise, draw.target)
        with run.autocast():
            if degrades:
                discriminator = run["discriminator_genuine"]
                generators = {
                    "anchor": self.anchor * charbonnier(degraded, draw.artificial),
                    **generator_terms("genuine", discriminator, degraded, weight=self.low),
                }
                discriminators = discriminator_terms(
                    "genuine", discriminator, draw.genuine, degraded
                )
            else:
                generators, discriminators = from_pairs(run, degraded, draw.target, self)
        return self._update(run, rate, generators, discriminators)
