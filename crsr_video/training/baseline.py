"""Baselines that use genuine footage, trained by the same loop on the same pictures.

They are end-to-end domain adaptation by cycle consistency, and a degradation GAN that is trained
before super-resolution. Conventional and blind super-resolution are in `training.sr`.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from crsr_video.training.degrade import FACTOR, clean
from crsr_video.training.draws import Draw, DrawSettings
from crsr_video.training.losses import charbonnier, discriminator_terms, generator_terms
from crsr_video.training.method import HIGH, LOW, TrainingMethod, joined
from crsr_video.training.run import NetworkSpec, Run
from crsr_video.training.sr import SuperResolution, from_pairs


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
