"""What the method is compared with, trained by the same loop on the same pictures.

Super-resolution alone and the blind kind are in `training.sr`. Here are the two that use genuine
footage: adaptation by cycle consistency, end to end; and a degradation GAN before super-resolution.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crsr_video.training.adversary import critic_terms, maker_terms
from crsr_video.training.degrade import FACTOR, clean
from crsr_video.training.draws import Draw, Wanted
from crsr_video.training.losses import charbonnier, cycle
from crsr_video.training.method import HIGH, LOW, Method, joined, values
from crsr_video.training.run import Part, Run


@dataclass(frozen=True, kw_only=True)
class CycleAdaptation(Method):
    """Unsupervised domain adaptation through two concatenated networks.

    G = psi(phi(.)) maps genuine LR to HR, R = rho(down(.)) maps HR back. Both directions have an
    adversarial term and a cycle; G also learns from pairs (a, y). Nothing is asked at the seam
    between phi and psi, and all gradients pass through both.
    Source: Zhu et al. 2017, as the paper's introduction describes its use for super-resolution.
    """

    name: ClassVar[str] = "uda"
    pixel: float = 1.0
    adversarial: float = 0.005
    """Of the picture."""
    low: float = 0.02
    """Of R(y), at low resolution."""
    there: float = 0.25
    """R(G(g)) = g."""
    back: float = 1.0
    """G(R(y)) = y."""

    @property
    def wanted(self) -> Wanted:
        """HR and genuine LR of different people."""
        return Wanted(tiers=self.tiers, genuine=True)

    def parts(self) -> dict[str, Part]:
        """The same networks as the method has, but for the critic of the seam."""
        return {
            "consistifier": self._consistifier(),
            "superresolver": self._superresolver(),
            "reverse": self._reverse(),
            "critic_genuine": self._critic(LOW),
            "critic_picture": self._critic(HIGH),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """One update."""
        genuine, target = draw.genuine, draw.target
        assert genuine is not None
        rho = run["reverse"]
        with run.autocast():
            bad = rho(draw.artificial, draw.noise)
            small = run["consistifier"](joined(genuine, draw.artificial, bad))
            made, plain, mended = run["superresolver"](joined(small)).chunk(3)
            again = rho(clean(made.float()), torch.zeros_like(draw.noise))
            terms: dict[str, Tensor] = {
                "pixel": self.pixel * charbonnier(plain, target),
                "back": self.back * cycle(mended, target),
                "there": self.there * cycle(again, genuine),
                **maker_terms("picture", run["critic_picture"], made, weight=self.adversarial),
                **maker_terms("genuine", run["critic_genuine"], bad, weight=self.low),
            }
        run.update(terms, rate=rate, clip=self.clip)
        with run.autocast():
            judged = {
                **critic_terms("picture", run["critic_picture"], target, made),
                **critic_terms("genuine", run["critic_genuine"], genuine, bad),
            }
        run.update_critics(judged, rate=rate, clip=10 * self.clip)
        return values(terms, judged)


@dataclass(frozen=True, kw_only=True)
class DegradationFirst(Method):
    """Learn to degrade from genuine footage, then to super-resolve what was degraded.

    Source: Bulat, Yang and Tzimiropoulos 2018 ("To learn image super-resolution, use a GAN to learn
    how to do image degradation first"); layers and schedule are ours. As there, the degradation
    network sees the high-resolution picture.
    """

    name: ClassVar[str] = "lrgan"
    first: float = 0.33
    """Share of the schedule in which only the degradation is learnt."""
    pixel: float = 1.0
    adversarial: float = 0.05
    """Of the picture."""
    low: float = 0.05
    """Of rho(y), at low resolution."""
    matching: float = 0.0
    anchor: float = 1.0
    """rho(y) = a, against its adversarial term."""

    @property
    def wanted(self) -> Wanted:
        """HR and genuine LR of different people."""
        return Wanted(tiers=self.tiers, genuine=True)

    def parts(self) -> dict[str, Part]:
        """psi, rho and two discriminators."""
        return {
            "superresolver": self._superresolver(),
            "reverse": Part("reverse", {**self._size.reverse, "factor": FACTOR}),
            "critic_genuine": self._critic(LOW),
            "critic_picture": self._critic(HIGH),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """One update, of one of the two networks."""
        if run.progress < self.first:
            return self._learn_degradation(run, draw, rate)
        return self._learn_resolution(run, draw, rate)

    def _learn_degradation(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        assert draw.genuine is not None
        with run.autocast():
            bad = run["reverse"](draw.artificial, draw.noise, draw.target)
            terms = {
                "anchor": self.anchor * charbonnier(bad, draw.artificial),
                **maker_terms("genuine", run["critic_genuine"], bad, weight=self.low),
            }
        run.update(terms, rate=rate, clip=self.clip)
        with run.autocast():
            judged = critic_terms("genuine", run["critic_genuine"], draw.genuine, bad)
        run.update_critics(judged, rate=rate, clip=10 * self.clip)
        return values(terms, judged)

    def _learn_resolution(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        picture = run["critic_picture"]
        with run.autocast():
            with torch.no_grad():
                bad = run["reverse"](draw.artificial, draw.noise, draw.target)
            made = run["superresolver"](joined(bad))
            terms = {
                "pixel": self.pixel * charbonnier(made, draw.target),
                **maker_terms(
                    "picture",
                    picture,
                    made,
                    draw.target,
                    weight=self.adversarial,
                    matching=self.matching,
                ),
            }
        run.update(terms, rate=rate, clip=self.clip)
        with run.autocast():
            judged = critic_terms("picture", picture, draw.target, made)
        run.update_critics(judged, rate=rate, clip=10 * self.clip)
        return values(terms, judged)
