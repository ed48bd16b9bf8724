"""Both networks together, each answering for its own task: step 3 of the method, and step 4.

From synthetic pairs (d, y), where d is y degraded like video:

    L = pix(psi(phi(d)), y) + w pix(psi(a'), y) + w_t |phi(d) - a| + w_k |phi(a) - a|

with a' either a or phi(a). From unpaired genuine LR g besides:

    L = w_h adv(psi(phi(g))) + w pix(psi(a), y) + w_4 pix(psi(phi(rho(a))), y) + L_low

where L_low is all of step 2 (see `training.cr`). Those terms at low resolution are the
characteristic regularisation: they keep the consistifier from doing the super-resolver's work.
What passes from the picture back into phi is multiplied by a stated factor. w_4 closes the gap
that phi(g) never quite equals a shrunken picture; it is not the paper's.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from crsr_video.training.adversary import critic_terms, maker_terms
from crsr_video.training.cr import Unpaired, low_critics, low_terms, made_low
from crsr_video.training.draws import Draw, Wanted
from crsr_video.training.losses import characteristic, charbonnier
from crsr_video.training.method import HIGH, LOW, Method, joined, scaled, values
from crsr_video.training.run import Part, Run


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Weights for synthetic pairs, against 1 for the picture from degraded input."""

    clean: float = 0.5
    """psi(a') = y."""
    clean_share: float = 0.5
    """Part of each batch that is also super-resolved from its artificial LR, half of it through
    the consistifier, as clean footage will be."""
    toward: float = 0.5
    """phi(d) = a."""
    keep: float = 0.25
    """phi(a) = a."""


@dataclass(frozen=True, kw_only=True)
class Joint(Method):
    """Train phi and psi, from synthetic pairs, genuine footage, or both."""

    name: ClassVar[str] = "joint"
    paired: Paired | None = Paired()
    unpaired: Unpaired | None = None
    """Weights at low resolution; None: no genuine footage."""
    characteristic: bool = True
    """Keep the terms at low resolution; without them it is an ablation."""
    pixel: float = 1.0
    """psi(a) = y, beside genuine footage."""
    adversarial: float = 0.005
    """Of psi(phi(g))."""
    closing: float = 0.0
    """psi(phi(rho(a))) = y: step 4."""
    coupling: float = 0.1
    """Share of the gradient that passes from any picture into the consistifier."""
    frozen: bool = False
    """Leave psi as it is; an ablation."""

    @property
    def wanted(self) -> Wanted:
        """As the kinds of supervision ask."""
        return Wanted(
            tiers=self.tiers,
            degraded=self.paired is not None,
            genuine=self.unpaired is not None,
        )

    def parts(self) -> dict[str, Part]:
        """Phi and psi; with genuine footage rho and the discriminators too."""
        parts = {
            "consistifier": self._consistifier(),
            "superresolver": self._superresolver(rate=0.0 if self.frozen else 1.0),
        }
        if self.unpaired is not None:
            parts |= {
                "reverse": self._reverse(),
                "critic_artificial": self._critic(LOW),
                "critic_genuine": self._critic(LOW),
                "critic_picture": self._critic(HIGH),
            }
        return parts

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """One update."""
        terms: dict[str, Tensor] = {}
        judged: dict[str, Tensor] = {}
        if self.paired is not None:
            terms |= self._from_pairs(run, draw, self.paired)
        if self.unpaired is not None:
            more, judged = self._from_footage(run, draw, self.unpaired)
            terms |= more
        run.update(terms, rate=rate, clip=self.clip)
        if judged:
            run.update_critics(judged, rate=rate, clip=10 * self.clip)
        return values(terms, judged)

    def _from_pairs(self, run: Run, draw: Draw, weights: Paired) -> dict[str, Tensor]:
        assert draw.degraded is not None
        artificial, target = draw.artificial, draw.target
        n, kept = len(target), round(len(target) * weights.clean_share)
        with run.autocast():
            # Degraded and artificial input share one pass through each network.
            consistent = run["consistifier"](joined(draw.degraded, artificial[:kept]))
            both = n + kept // 2
            small = joined(scaled(consistent[:both], self.coupling), artificial[both - n : kept])
            picture = run["superresolver"](small)
        return {
            "degraded": charbonnier(picture[:n], target),
            "clean": weights.clean * charbonnier(picture[n:], target[:kept]),
            "characteristic": characteristic(
                consistent[:n],
                consistent[n:],
                artificial,
                toward=weights.toward,
                keep=weights.keep,
            ),
        }

    def _from_footage(
        self, run: Run, draw: Draw, weights: Unpaired
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        critic_picture = run["critic_picture"]
        with run.autocast():
            low = made_low(run, draw)
            small = [scaled(low.consistent, self.coupling), draw.artificial]
            if self.closing:
                small.append(scaled(low.mended, self.coupling))
            made, clean, *mended = run["superresolver"](joined(*small)).chunk(len(small))
            terms = {
                "pixel": self.pixel * charbonnier(clean, draw.target),
                **maker_terms("picture", critic_picture, made, weight=self.adversarial),
            }
            if self.closing:
                terms["closing"] = self.closing * charbonnier(mended[0], draw.target)
            if self.characteristic:
                terms |= low_terms(run, low, draw, weights)
            judged = critic_terms("picture", critic_picture, draw.target, made)
        if self.characteristic:
            judged |= low_critics(run, low, draw)
        return terms, judged
