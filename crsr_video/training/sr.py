"""The super-resolver alone: step 1 of the method, and two baselines.

    L = pix(psi(x), y) + w_a adv(psi(x)) + w_m match(psi(x), y)

with x = a, the artificial LR: conventional super-resolution; or x = d, synthetically degraded:
"blind" super-resolution. No consistifier, no genuine footage.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from crsr_video.training.adversary import critic_terms, maker_terms
from crsr_video.training.draws import Draw, Wanted
from crsr_video.training.losses import charbonnier
from crsr_video.training.method import HIGH, Method, joined, values
from crsr_video.training.run import Part, Run


@dataclass(frozen=True, kw_only=True)
class SuperResolution(Method):
    """Train psi on pairs."""

    name: ClassVar[str] = "sr"
    blind: bool = False
    """Learn from degraded input (three quarters) instead of artificial LR alone."""
    adversarial: float = 0.0
    """Weight of the adversarial term; 0: no discriminator."""
    matching: float = 0.0
    """Weight of feature matching."""

    @property
    def wanted(self) -> Wanted:
        """Pairs, degraded if blind."""
        return Wanted(tiers=self.tiers, degraded=self.blind)

    def parts(self) -> dict[str, Part]:
        """psi, and a discriminator if it is wanted."""
        parts = {"superresolver": self._superresolver()}
        if self.adversarial:
            parts["critic_picture"] = self._critic(HIGH)
        return parts

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """One update."""
        small = draw.artificial
        if draw.degraded is not None:
            plain = len(small) // 4
            small = torch.cat([small[:plain], draw.degraded[plain:]])
        with run.autocast():
            made = run["superresolver"](joined(small))
            terms = {"pixel": charbonnier(made, draw.target)}
            if self.adversarial:
                terms |= maker_terms(
                    "picture",
                    run["critic_picture"],
                    made,
                    draw.target,
                    weight=self.adversarial,
                    matching=self.matching,
                )
        run.update(terms, rate=rate, clip=self.clip)
        if not self.adversarial:
            return values(terms)
        with run.autocast():
            judged = critic_terms("picture", run["critic_picture"], draw.target, made)
        run.update_critics(judged, rate=rate, clip=10 * self.clip)
        return values(terms, judged)
