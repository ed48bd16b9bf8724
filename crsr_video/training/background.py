"""Training of the network for whole frames, from patches with synthetic degradations.

    L = pix(chi(x), y)

with x = d, synthetically degraded, or, for a part of each batch, x = a, only shrunk. Each step
draws one of the factors 1, 2 and 4. With factor 1, a equals y: the network learns to leave alone
what is good.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from crsr_video.networks import BackgroundNetwork
from crsr_video.training.data import Tier
from crsr_video.training.draws import Draw, DrawSettings
from crsr_video.training.losses import charbonnier
from crsr_video.training.method import Schedule, TrainingMethod, joined
from crsr_video.training.run import NetworkSpec, Run

TIERS = (Tier(64, 64, 16, 1.0),)
"""Batches for patches of 256 pixels, see `training.patches`."""


@dataclass(frozen=True, kw_only=True)
class BackgroundTraining(TrainingMethod):
    """Train the background network on pairs."""

    name: ClassVar[str] = "background"
    tiers: tuple[Tier, ...] = TIERS
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
