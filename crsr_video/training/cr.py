"""Step 2 of the method: the consistifier, trained on unpaired genuine footage.

    L_phi = w_a adv(phi(g)) + w_k |phi(a) - a| + w_c |low(phi(g)) - low(g)|
    L_rho = w_r adv(rho(a))
    both  + w_t |phi(rho(a)) - a|

Here phi is the consistifier, rho is the reverse network, a is artificial LR, and g is genuine LR.
The last term is paired supervision: rho makes degraded versions of a, so their clean version is
known. The opposite cycle, rho(phi(g)) = g, is left out, because it rewards phi for hiding in its
output the information that rho needs to restore the noise. The super-resolver is not trained in
this step, but is kept in the checkpoint.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from crsr_video.training.draws import Draw
from crsr_video.training.losses import (
    charbonnier,
    discriminator_terms,
    generator_terms,
    low_frequency_difference,
)
from crsr_video.training.method import LOW, TrainingMethod, joined
from crsr_video.training.run import NetworkSpec, Run


@dataclass(frozen=True, kw_only=True)
class Unpaired:
    """Weights of the terms at low resolution."""

    adversarial: float = 0.006
    """Weight of the adversarial term of phi(g), whose domain is artificial LR. It is small because
    the two domains also show different people in different poses, and a strong discriminator would
    make phi change the identity of people."""
    reverse: float = 0.02
    """Weight of the adversarial term of rho(a), whose domain is genuine LR. It is large because phi
    learns to undo the degradation by rho."""
    keep: float = 0.5
    """Weight of phi(a) = a."""
    content: float = 1.0
    """Weight of the difference of the low frequencies of phi(g) and g."""
    toward: float = 1.0
    """Weight of phi(rho(a)) = a."""


@dataclass(frozen=True)
class LowResolution:
    """Outputs of phi and rho for one draw."""

    consistent: Tensor
    """phi(g)."""
    kept: Tensor
    """phi(a)."""
    degraded: Tensor
    """rho(a)."""
    restored: Tensor
    """phi(rho(a))."""


@dataclass(frozen=True, kw_only=True)
class Consistification(TrainingMethod):
    """Train phi and rho against the discriminators of both domains."""

    name: ClassVar[str] = "cr"
    unpaired: Unpaired = Unpaired()

    def specs(self) -> dict[str, NetworkSpec]:
        """Return phi, rho, two discriminators, and the super-resolver, which does not change."""
        return {
            "consistifier": self._consistifier(),
            "superresolver": self._superresolver(rate=0),
            "reverse": self._reverse(),
            "discriminator_artificial": self._discriminator(LOW),
            "discriminator_genuine": self._discriminator(LOW),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """Update the networks once."""
        with run.autocast():
            low = run_low_resolution(run, draw)
            generators = low_generator_terms(run, low, draw, self.unpaired)
            discriminators = low_discriminator_terms(run, low, draw)
        return self._update(run, rate, generators, discriminators)


def run_low_resolution(run: Run, draw: Draw) -> LowResolution:
    """Run phi and rho on a draw."""
    assert draw.genuine is not None
    degraded = run["reverse"](draw.artificial, draw.noise)
    pictures = joined(draw.genuine, draw.artificial, degraded)
    consistent, kept, restored = run["consistifier"](pictures).chunk(3)
    return LowResolution(consistent, kept, degraded, restored)


def low_generator_terms(
    run: Run, low: LowResolution, draw: Draw, weights: Unpaired
) -> dict[str, Tensor]:
    """Return the losses of phi and rho at low resolution: the characteristic regularisation."""
    genuine, artificial = draw.genuine, draw.artificial
    assert genuine is not None
    domains = (
        ("artificial", low.consistent, weights.adversarial),
        ("genuine", low.degraded, weights.reverse),
    )
    terms: dict[str, Tensor] = {}
    for name, generated, weight in domains:
        terms |= generator_terms(name, run[f"discriminator_{name}"], generated, weight=weight)
    cells = genuine.shape[-1] // 4
    return terms | {
        "keep": weights.keep * charbonnier(low.kept, artificial),
        "content": weights.content * low_frequency_difference(low.consistent, genuine, cells),
        "toward": weights.toward * charbonnier(low.restored, artificial),
    }


def low_discriminator_terms(run: Run, low: LowResolution, draw: Draw) -> dict[str, Tensor]:
    """Return the losses of the discriminators of both low-resolution domains."""
    assert draw.genuine is not None
    domains = (
        ("artificial", draw.artificial, low.consistent),
        ("genuine", draw.genuine, low.degraded),
    )
    terms: dict[str, Tensor] = {}
    for name, real, generated in domains:
        terms |= discriminator_terms(name, run[f"discriminator_{name}"], real, generated)
    return terms
