"""What all ways of training have in common."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from crsr_video.training.data import TIERS, Tier
from crsr_video.training.draws import Draw, Wanted
from crsr_video.training.run import Part, Run
from crsr_video.training.schedule import Schedule
from crsr_video.training.sizes import SIZES, Size


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """One way of training. Its fields are its settings; a run can only go on with the same."""

    name: ClassVar[str]
    size: str = "fast"
    """One of `SIZES`."""
    tiers: tuple[Tier, ...] = TIERS
    schedule: Schedule = field(default_factory=Schedule)
    decay: float = 0.999
    """Of the moving average of weights."""
    clip: float = 0.5
    """Largest norm of a network's gradient."""
    critic: int = 0
    """Channels of the discriminators' first layer; 0: as the size has them."""

    def settings(self) -> dict[str, Any]:
        """All that decides what comes out, but for data and length."""
        return asdict(self)

    @property
    @abstractmethod
    def wanted(self) -> Wanted:
        """What a step must see."""

    @abstractmethod
    def parts(self) -> dict[str, Part]:
        """The networks, by name."""

    @abstractmethod
    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """One update at a learning rate; the weighted terms of its losses, by name."""

    @property
    def _size(self) -> Size:
        return SIZES[self.size]

    def _consistifier(self, rate: float = 1.0) -> Part:
        return Part("consistifier", self._size.consistifier, rate=rate)

    def _superresolver(self, rate: float = 1.0, only: tuple[str, ...] = ()) -> Part:
        return Part("superresolver", self._size.superresolver, rate=rate, only=only)

    def _reverse(self, rate: float = 1.0) -> Part:
        return Part("reverse", self._size.reverse, rate=rate)

    def _critic(self, halvings: int) -> Part:
        arguments = {"channels": self.critic or self._size.critic, "halvings": halvings}
        return Part("discriminator", arguments, critic=True)


LOW, HIGH = 2, 3
"""Halvings of the discriminators of low and of high resolution."""


def joined(*pictures: Tensor) -> Tensor:
    """Batches one after another, so that a network is run once; (N, 3, H, W)."""
    return torch.cat(pictures).contiguous(memory_format=torch.channels_last)


def scaled(x: Tensor, factor: float) -> Tensor:
    """The same values, but gradients that pass back through them are multiplied by `factor`."""
    return x if factor == 1 else x.detach() + factor * (x - x.detach())


def values(*groups: dict[str, Tensor]) -> dict[str, float]:
    """Terms of losses as numbers, for the log."""
    return {name: float(term.detach()) for group in groups for name, term in group.items()}
