"""The consistifier from unpaired genuine footage: step 2 of the method.

    L_phi = w_a adv(phi(g)) + w_i |phi(a) - a| + w_c |low(phi(g)) - low(g)|
    L_rho = w_r adv(rho(a))
    both  + w_t |phi(rho(a)) - a|

The last term is paired supervision: rho makes bad versions of a, whose good version is known. The
opposite cycle, rho(phi(g)) = g, is not asked for: it rewards phi for hiding in its output what rho
needs to make the noise again.
The super-resolver takes no part; it rides along so that the checkpoint is whole.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from crsr_video.training.adversary import critic_terms, maker_terms
from crsr_video.training.draws import Draw, Wanted
from crsr_video.training.losses import content, cycle, identity
from crsr_video.training.method import LOW, Method, joined, values
from crsr_video.training.run import Part, Run


@dataclass(frozen=True, kw_only=True)
class Unpaired:
    """Weights of the terms at low resolution."""

    adversarial: float = 0.006
    """Of phi(g) among artificial LR. Little: the two domains differ in who is shown and how, not
    only in quality, and a strong critic would have phi change persons."""
    reverse: float = 0.02
    """Of rho(a) among genuine LR. Strong: what rho does to a picture, phi learns to undo."""
    keep: float = 0.5
    """phi(a) = a."""
    content: float = 1.0
    """phi(g) has the low frequencies of g."""
    toward: float = 1.0
    """phi(rho(a)) = a."""


@dataclass(frozen=True)
class Low:
    """What both networks of low resolution made of one draw."""

    consistent: Tensor
    """phi(g)."""
    kept: Tensor
    """phi(a)."""
    bad: Tensor
    """rho(a)."""
    mended: Tensor
    """phi(rho(a))."""


@dataclass(frozen=True, kw_only=True)
class Consistification(Method):
    """Train phi and rho against the discriminators of both domains."""

    name: ClassVar[str] = "cr"
    unpaired: Unpaired = Unpaired()

    @property
    def wanted(self) -> Wanted:
        """Artificial and genuine LR of different people."""
        return Wanted(tiers=self.tiers, genuine=True)

    def parts(self) -> dict[str, Part]:
        """phi, rho, two discriminators; psi as it is."""
        return {
            "consistifier": self._consistifier(),
            "superresolver": self._superresolver(rate=0),
            "reverse": self._reverse(),
            "critic_artificial": self._critic(LOW),
            "critic_genuine": self._critic(LOW),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """One update."""
        with run.autocast():
            low = made_low(run, draw)
            terms = low_terms(run, low, draw, self.unpaired)
        run.update(terms, rate=rate, clip=self.clip)
        judged = low_critics(run, low, draw)
        run.update_critics(judged, rate=rate, clip=10 * self.clip)
        return values(terms, judged)


def made_low(run: Run, draw: Draw) -> Low:
    """Run phi and rho over a draw."""
    assert draw.genuine is not None
    phi, rho = run["consistifier"], run["reverse"]
    bad = rho(draw.artificial, draw.noise)
    consistent, kept, mended = phi(joined(draw.genuine, draw.artificial, bad)).chunk(3)
    return Low(consistent, kept, bad, mended)


def low_terms(run: Run, low: Low, draw: Draw, weights: Unpaired) -> dict[str, Tensor]:
    """What phi and rho answer for at low resolution: the characteristic regularisation."""
    assert draw.genuine is not None
    return {
        **maker_terms(
            "artificial", run["critic_artificial"], low.consistent, weight=weights.adversarial
        ),
        **maker_terms("genuine", run["critic_genuine"], low.bad, weight=weights.reverse),
        "keep": weights.keep * identity(low.kept, draw.artificial),
        "content": weights.content
        * content(low.consistent, draw.genuine, draw.genuine.shape[-1] // 4),
        "toward": weights.toward * cycle(low.mended, draw.artificial),
    }


def low_critics(run: Run, low: Low, draw: Draw) -> dict[str, Tensor]:
    """What the discriminators of both domains of low resolution learn."""
    assert draw.genuine is not None
    with run.autocast():
        return {
            **critic_terms("artificial", run["critic_artificial"], draw.artificial, low.consistent),
            **critic_terms("genuine", run["critic_genuine"], draw.genuine, low.bad),
        }
