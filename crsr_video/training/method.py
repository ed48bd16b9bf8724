"""Common parts of all training methods: settings, learning rate, sizes and costs of networks."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crsr_video.formatting import markdown_table
from crsr_video.networks import Consistifier, Discriminator, Reverse, SuperResolver
from crsr_video.networks.costs import count_macs, count_parameters
from crsr_video.training.data import TIERS, Tier
from crsr_video.training.draws import Draw, DrawSettings
from crsr_video.training.run import NetworkSpec, Run


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Schedule of the learning rate: a linear warm-up, then half a cosine down to a floor."""

    peak: float = 4e-4
    """Highest learning rate."""
    floor: float = 1e-5
    warmup: int = 100

    def rate(self, step: int, progress: float) -> float:
        """Return the learning rate at a step.

        Args:
            step: Number of the step, from 0.
            progress: Fraction of the schedule that is done, 0 to 1.
        """
        cosine = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        warmup = min(1.0, (step + 1) / max(1, self.warmup))
        return (self.floor + (self.peak - self.floor) * cosine) * warmup


@dataclass(frozen=True)
class Size:
    """Constructor arguments of the networks."""

    consistifier: dict[str, Any] = field(default_factory=dict)
    superresolver: dict[str, Any] = field(default_factory=dict)
    reverse: dict[str, Any] = field(default_factory=dict)
    discriminator_channels: int = 32
    """Channels of the discriminators' first layer."""


SIZES = {
    # For tests.
    "tiny": Size(
        consistifier={"channels": (4, 4, 4), "middle": 1},
        superresolver={
            "channels": (4, 4, 4),
            "down": (1, 1),
            "middle": 1,
            "up": (1, 1),
            "tail": 4,
        },
        reverse={"channels": (4, 4, 4), "middle": 1},
        discriminator_channels=4,
    ),
    # For comparisons that take minutes, by the paper's protocol: from 16 to 64 pixels.
    "small": Size(
        consistifier={"channels": (16, 32, 64), "middle": 2},
        superresolver={"channels": (32, 64, 128), "down": (1, 1), "middle": 3, "up": (1, 2)},
        reverse={"channels": (16, 32, 64), "middle": 2},
        discriminator_channels=16,
    ),
    # A super-resolver that costs as much as both networks of "small", for an ablation.
    "single": Size(
        superresolver={"channels": (35, 70, 140), "down": (1, 1), "middle": 3, "up": (1, 2)},
        discriminator_channels=16,
    ),
    # The shipped size. Enlarging a face from 64 to 256 pixels takes 2.4 billion multiply-adds, and
    # 2.75 billion with texture.
    "fast": Size(superresolver={"tail": 28}),
}
"""Network sizes by name."""

LOW, HIGH = 2, 3
"""Number of halvings of the resolution in the low- and the high-resolution discriminator."""


@dataclass(frozen=True, kw_only=True)
class TrainingMethod(ABC):
    """A training method. Its fields are its settings, which must not change if a run is resumed."""

    name: ClassVar[str]
    size: str = "fast"
    """A key of `SIZES`."""
    tiers: tuple[Tier, ...] = TIERS
    schedule: Schedule = field(default_factory=Schedule)
    decay: float = 0.999
    """Decay of the moving average of the weights."""
    clip: float = 0.5
    """Largest gradient norm of a network; discriminators may have ten times as much."""
    discriminator_channels: int = 0
    """Channels of the discriminators' first layer, or 0 to use the number that `size` defines."""

    def settings(self) -> dict[str, Any]:
        """Return all settings that affect the result, except the data and the training length."""
        return asdict(self)

    @property
    def draw_settings(self) -> DrawSettings:
        """The parts of each draw that the method needs: HR and genuine LR of different people."""
        return DrawSettings(tiers=self.tiers, genuine=True)

    @abstractmethod
    def specs(self) -> dict[str, NetworkSpec]:
        """Return the networks by name."""

    @abstractmethod
    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """Update the networks once at a learning rate, and return weighted loss terms by name."""

    def _update(
        self,
        run: Run,
        rate: float,
        generators: dict[str, Tensor],
        discriminators: dict[str, Tensor],
    ) -> dict[str, float]:
        """Update the generators and discriminators, and return their loss terms as numbers."""
        run.update(run.generator_optimizer, generators, rate=rate, clip=self.clip)
        if discriminators:
            optimizer = run.discriminator_optimizer
            run.update(optimizer, discriminators, rate=rate, clip=10 * self.clip)
        return {k: float(v.detach()) for k, v in (generators | discriminators).items()}

    def _consistifier(self, rate: float = 1.0) -> NetworkSpec:
        return NetworkSpec("consistifier", SIZES[self.size].consistifier, rate)

    def _superresolver(
        self, rate: float = 1.0, rates: Mapping[str, float] | None = None
    ) -> NetworkSpec:
        """Return the spec of psi, with additional factors of the rate by prefix in `rates`."""
        arguments = SIZES[self.size].superresolver
        return NetworkSpec("superresolver", arguments, rate, dict(rates or {}))

    def _reverse(self, **arguments: int) -> NetworkSpec:
        return NetworkSpec("reverse", SIZES[self.size].reverse | arguments)

    def _discriminator(self, halvings: int) -> NetworkSpec:
        channels = self.discriminator_channels or SIZES[self.size].discriminator_channels
        arguments = {"channels": channels, "halvings": halvings}
        return NetworkSpec("discriminator", arguments, is_discriminator=True)


def joined(*pictures: Tensor) -> Tensor:
    """Concatenate batches of (N, 3, H, W), so that a network runs only once for all of them."""
    return torch.cat(pictures).contiguous(memory_format=torch.channels_last)


def scaled_gradient(x: Tensor, factor: float) -> Tensor:
    """Return the same values. In the backward pass, gradients are multiplied by a factor."""
    return x if factor == 1 else x.detach() + factor * (x - x.detach())


COST_SIDES = (16, 32, 64, 128)


@dataclass(frozen=True)
class Cost:
    """Cost of one network for one face."""

    size: str
    network: str
    parameters: int
    macs: dict[int, int]
    """Multiply-adds of all convolutions, by the side of the low-resolution face in pixels."""


def costs() -> list[Cost]:
    """Return the costs of all networks in all sizes."""
    found = [
        _cost("fast", "discriminator, low", Discriminator(halvings=LOW)),
        _cost("fast", "discriminator, high", Discriminator(halvings=HIGH), SuperResolver.factor),
    ]
    for name in ("fast", "small"):
        size = SIZES[name]
        psi = SuperResolver(**size.superresolver)
        found += [
            _cost(name, "consistifier", Consistifier(**size.consistifier)),
            _cost(name, "super-resolver", psi),
            _cost(name, "reverse", Reverse(**size.reverse)),
        ]
        if psi.tail is not None:
            found.append(_cost(name, "texture head", psi.tail))
    return found


def _cost(size: str, name: str, network: nn.Module, factor: int = 1) -> Cost:
    macs = {side: count_macs(network, *_inputs(network, side * factor)) for side in COST_SIDES}
    return Cost(size, name, count_parameters(network), macs)


def _inputs(network: nn.Module, side: int) -> list[Tensor]:
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    noise = Reverse.noise if isinstance(network, Reverse) else 0
    inputs = [torch.zeros(1, first.in_channels - noise, side, side)]
    return [*inputs, torch.zeros(1, noise, side, side)] if noise else inputs


def costs_as_text(rows: list[Cost]) -> str:
    """Return a Markdown table with a row for each network."""
    cells = [
        [
            row.size,
            row.network,
            f"{row.parameters:,}",
            *(f"{macs / 1e6:,.0f}" for macs in row.macs.values()),
        ]
        for row in rows
    ]
    header = ["size", "network", "parameters", *(f"{side} px" for side in COST_SIDES)]
    table = markdown_table(header, cells, (0, 1))
    return f"{table}\n\nMultiply-adds in millions, by the side of the small face."
