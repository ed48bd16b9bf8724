"""Parameters and multiply-adds of every network."""

from dataclasses import dataclass

import torch
from torch import nn

from crsr_video.networks import Consistifier, Discriminator, Reverse, SuperResolver
from crsr_video.networks.blocks import Tail
from crsr_video.training.method import HIGH, LOW, SIZES

SIDES = (16, 32, 64, 128)


@dataclass(frozen=True)
class Cost:
    """Cost of one network for one face."""

    size: str
    network: str
    parameters: int
    side: int
    """Side in pixels of the low-resolution face."""
    macs: int
    """Multiply-adds of all convolutions."""


def costs() -> list[Cost]:
    """Return the costs of all networks in all sizes."""
    networks: list[tuple[str, str, nn.Module, int]] = []
    for name, size in SIZES.items():
        if name == "tiny":
            continue
        psi = SuperResolver(**size.superresolver)
        networks += [
            (name, "consistifier", Consistifier(**size.consistifier), 1),
            (name, "super-resolver", psi, 1),
            (name, "reverse", Reverse(**size.reverse), 1),
        ]
        if psi.tail is not None:
            networks.append((name, "texture head", psi.tail, 1))
    networks += [
        ("fast", "discriminator, low", Discriminator(halvings=LOW), 1),
        ("fast", "discriminator, high", Discriminator(halvings=HIGH), SuperResolver.factor),
    ]
    return [
        Cost(size, name, _parameters(network), side, macs(network, side * factor))
        for size, name, network, factor in networks
        for side in SIDES
    ]


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@torch.inference_mode()
def macs(network: nn.Module, side: int) -> int:
    """Return the multiply-adds of a network's convolutions for a picture of `side` pixels."""
    total = 0

    def count(layer: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        each = layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
        total += output.numel() * each

    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in convolutions]
    channels = network.first.in_channels if isinstance(network, Tail) else 3
    inputs = [torch.zeros(1, channels, side, side)]
    if isinstance(network, Reverse):
        inputs.append(torch.zeros(1, network.noise, side, side))
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return total


def as_text(rows: list[Cost]) -> str:
    """Format a Markdown table: one line a network, millions of multiply-adds by side."""
    lines = [
        "| size | network | parameters | " + " | ".join(f"{s} px" for s in SIDES) + " |",
        "|---|---|---:|" + "---:|" * len(SIDES),
    ]
    for first in range(0, len(rows), len(SIDES)):
        group = rows[first : first + len(SIDES)]
        figures = " | ".join(f"{cost.macs / 1e6:,.0f}" for cost in group)
        head = group[0]
        lines.append(f"| {head.size} | {head.network} | {head.parameters:,} | {figures} |")
    return "\n".join(lines) + "\n\nMultiply-adds in millions, by the side of the small face."
