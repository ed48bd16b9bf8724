"""Characteristic regularisation: steps 2 to 4 of the method.

Here phi is the consistifier, psi is the super-resolver, rho is the reverse network, y is the
ground truth, a is artificial LR, g is genuine LR, and d is y degraded like video. Step 2 trains
only the consistifier, on unpaired genuine footage:

    L_phi = w_a adv(phi(g)) + w_k |phi(a) - a| + w_c |low(phi(g)) - low(g)|
    L_rho = w_r adv(rho(a))
    both  + w_t |phi(rho(a)) - a|

The last term is paired supervision: rho makes degraded versions of a, so their clean version is
known. The opposite cycle, rho(phi(g)) = g, is left out, because it rewards phi for hiding in its
output the information that rho needs to restore the noise. The super-resolver is not trained in
this step, but is kept in the checkpoint.

Steps 3 and 4 train both networks together, each for its own task. The loss on pairs (d, y) is:

    L = pix(psi(phi(d)), y) + w pix(psi(a'), y) + w_t |phi(d) - a| + w_k |phi(a) - a|

where a' is either a or phi(a). The loss on unpaired genuine LR g is:

    L = w_h adv(psi(phi(g))) + w pix(psi(a), y) + w_4 pix(psi(phi(rho(a))), y) + L_low

where L_low is the whole loss of step 2. The terms at low resolution are the characteristic
regularisation: they keep the consistifier from doing the super-resolver's work. Gradients from a
picture into phi are multiplied by `coupling`. The term with w_4 trains psi on real outputs of phi,
which never quite equal a shrunken picture. This term is not in the paper.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from crsr_video.training.draws import Draw, DrawSettings
from crsr_video.training.losses import (
    charbonnier,
    discriminator_terms,
    generator_terms,
    low_frequency_difference,
)
from crsr_video.training.method import HIGH, LOW, TrainingMethod, joined, scaled_gradient
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


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Weights of the terms of synthetic pairs. The picture from degraded input has weight 1."""

    clean: float = 0.5
    """Weight of psi(a') = y."""
    clean_share: float = 0.5
    """Part of each batch that is also super-resolved from its artificial LR. Half of this part goes
    through the consistifier, as clean footage does."""
    toward: float = 0.5
    """Weight of phi(d) = a."""
    keep: float = 0.25
    """Weight of phi(a) = a."""


@dataclass(frozen=True, kw_only=True)
class Joint(TrainingMethod):
    """Train phi and psi on synthetic pairs, genuine footage, or both."""

    name: ClassVar[str] = "joint"
    paired: Paired | None = Paired()
    unpaired: Unpaired | None = None
    """Weights of the terms at low resolution. If None, no genuine footage is used."""
    characteristic: bool = True
    """Whether to use the terms of step 2 at low resolution. False is an ablation."""
    pixel: float = 1.0
    """Weight of psi(a) = y if genuine footage is used."""
    adversarial: float = 0.005
    """Weight of the adversarial term of psi(phi(g))."""
    closing: float = 0.0
    """Weight of psi(phi(rho(a))) = y, which is step 4."""
    coupling: float = 0.1
    """Factor on the gradient that passes from any picture into the consistifier."""
    frozen: bool = False
    """Whether psi is not trained. True is an ablation."""

    @property
    def draw_settings(self) -> DrawSettings:
        """Settings that draw degraded pairs, genuine faces, or both."""
        return DrawSettings(
            tiers=self.tiers,
            degraded=self.paired is not None,
            genuine=self.unpaired is not None,
        )

    def specs(self) -> dict[str, NetworkSpec]:
        """Return phi and psi, and also rho and the discriminators if genuine footage is used."""
        specs = {
            "consistifier": self._consistifier(),
            "superresolver": self._superresolver(rate=0.0 if self.frozen else 1.0),
        }
        if self.unpaired is not None:
            specs |= {
                "reverse": self._reverse(),
                "discriminator_artificial": self._discriminator(LOW),
                "discriminator_genuine": self._discriminator(LOW),
                "discriminator_picture": self._discriminator(HIGH),
            }
        return specs

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """Update the networks once."""
        generators: dict[str, Tensor] = {}
        discriminators: dict[str, Tensor] = {}
        with run.autocast():
            if self.paired is not None:
                generators |= self._from_pairs(run, draw, self.paired)
            if self.unpaired is not None:
                more, discriminators = self._from_footage(run, draw, self.unpaired)
                generators |= more
        return self._update(run, rate, generators, discriminators)

    def _from_pairs(self, run: Run, draw: Draw, weights: Paired) -> dict[str, Tensor]:
        assert draw.degraded is not None
        artificial, target = draw.artificial, draw.target
        n, kept = len(target), round(len(target) * weights.clean_share)
        # Degraded and artificial input share one pass through each network.
        consistent = run["consistifier"](joined(draw.degraded, artificial[:kept]))
        both = n + kept // 2
        through_phi = scaled_gradient(consistent[:both], self.coupling)
        picture = run["superresolver"](joined(through_phi, artificial[both - n : kept]))
        return {
            "degraded": charbonnier(picture[:n], target),
            "clean": weights.clean * charbonnier(picture[n:], target[:kept]),
            "toward": weights.toward * charbonnier(consistent[:n], artificial),
            "keep": weights.keep * charbonnier(consistent[n:], artificial[:kept]),
        }

    def _from_footage(
        self, run: Run, draw: Draw, weights: Unpaired
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        discriminator = run["discriminator_picture"]
        low = run_low_resolution(run, draw)
        small = [scaled_gradient(low.consistent, self.coupling), draw.artificial]
        if self.closing:
            small.append(scaled_gradient(low.restored, self.coupling))
        generated, clean, *restored = run["superresolver"](joined(*small)).chunk(len(small))
        generators = {
            "pixel": self.pixel * charbonnier(clean, draw.target),
            **generator_terms("picture", discriminator, generated, weight=self.adversarial),
        }
        discriminators = discriminator_terms("picture", discriminator, draw.target, generated)
        if self.closing:
            generators["closing"] = self.closing * charbonnier(restored[0], draw.target)
        if self.characteristic:
            generators |= low_generator_terms(run, low, draw, weights)
            discriminators |= low_discriminator_terms(run, low, draw)
        return generators, discriminators
