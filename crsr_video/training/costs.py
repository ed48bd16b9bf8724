"""Parameters and multiply-adds of every network that is trained."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crsr_video.formatting import markdown_table
from crsr_video.networks import Consistifier, Discriminator, Reverse, SuperResolver
from crsr_video.networks.costs import count_macs, count_parameters
from crsr_video.training.method import HIGH, LOW, SIZES

SIDES = (16, 32, 64, 128)


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
    macs = {side: count_macs(network, *_inputs(network, side * factor)) for side in SIDES}
    return Cost(size, name, count_parameters(network), macs)


def _inputs(network: nn.Module, side: int) -> list[Tensor]:
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    noise = Reverse.noise if isinstance(network, Reverse) else 0
    inputs = [torch.zeros(1, first.in_channels - noise, side, side)]
    return [*inputs, torch.zeros(1, noise, side, side)] if noise else inputs


def as_text(rows: list[Cost]) -> str:
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
    header = ["size", "network", "parameters", *(f"{side} px" for side in SIDES)]
    table = markdown_table(header, cells, (0, 1))
    return f"{table}\n\nMultiply-adds in millions, by the side of the small face."
