"""The other end of the knob: the super-resolver's last layers trained for believable texture.

    L = pix(psi'(x), y) + w_a adv(psi'(x)) + w_m match(psi'(x), y)

with x = phi(d) or a. A pixel loss alone leaves out what it is not sure of; this one dares. Only
layers of the way up change, so that weights between the two mean pictures between the two, and
the difference is small enough to ship.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from crsr_video.training.adversary import critic_terms, maker_terms
from crsr_video.training.draws import Draw, Wanted
from crsr_video.training.losses import charbonnier
from crsr_video.training.method import HIGH, Method, joined, values
from crsr_video.training.run import Part, Run

TAIL = ("trunk.from_quarter.", "trunk.half_up.", "trunk.from_half.", "trunk.full_up.", "head.")
"""What changes."""


@dataclass(frozen=True, kw_only=True)
class Texture(Method):
    """Train the tail of psi against a discriminator."""

    name: ClassVar[str] = "detail"
    pixel: float = 1.0
    adversarial: float = 0.01
    matching: float = 0.05

    @property
    def wanted(self) -> Wanted:
        """Degraded pairs."""
        return Wanted(tiers=self.tiers, degraded=True)

    def parts(self) -> dict[str, Part]:
        """Phi fixed, the tail of psi, a discriminator."""
        return {
            "consistifier": self._consistifier(rate=0),
            "superresolver": self._superresolver(only=TAIL),
            "critic_picture": self._critic(HIGH),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """One update."""
        assert draw.degraded is not None
        plain = len(draw.target) // 4
        with run.autocast():
            with torch.no_grad():
                consistent = run["consistifier"](draw.degraded[plain:]).clamp(0, 1)
            small = joined(draw.artificial[:plain], consistent)
            made = run["superresolver"](small)
            terms = {
                "pixel": self.pixel * charbonnier(made, draw.target),
                **maker_terms(
                    "picture",
                    run["critic_picture"],
                    made,
                    draw.target,
                    weight=self.adversarial,
                    matching=self.matching,
                ),
            }
        run.update(terms, rate=rate, clip=self.clip)
        with run.autocast():
            judged = critic_terms("picture", run["critic_picture"], draw.target, made)
        run.update_critics(judged, rate=rate, clip=10 * self.clip)
        return values(terms, judged)
