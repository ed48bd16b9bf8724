"""Parameters and multiply-adds of every network, counted by running it."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from crsr_video.networks import Consistifier, Discriminator, Reverse, SuperResolver
from crsr_video.networks.blocks import Tail
from crsr_video.training.method import HIGH, LOW
from crsr_video.training.sizes import SIZES

SIDES = (16, 32, 64, 128)


@dataclass(frozen=True)
class Cost:
    """Of one network at one input size."""

    size: str
    network: str
    parameters: int
    side: int
    """Of the low-resolution face, pixels."""
    macs: int
    """Multiply-adds of all convolutions for one face."""


def costs() -> list[Cost]:
    """Of all networks in all sizes."""
    rows: list[Cost] = []
    for name, size in SIZES.items():
        if name == "tiny":
            continue
        psi = SuperResolver(**size.superresolver)
        networks: dict[str, nn.Module] = {
            "consistifier": Consistifier(**size.consistifier),
            "super-resolver": psi,
            **({"texture head": psi.tail} if psi.tail is not None else {}),
            "reverse": Reverse(**size.reverse),
        }
        for title, network in networks.items():
            rows += [Cost(name, title, _count(network), s, macs(network, s)) for s in SIDES]
    for title, halvings, factor in (("critic, low", LOW, 1), ("critic, high", HIGH, 4)):
        network = Discriminator(halvings=halvings)
        rows += [Cost("fast", title, _count(network), s, macs(network, s * factor)) for s in SIDES]
    return rows


def _count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@torch.inference_mode()
def macs(network: nn.Module, side: int) -> int:
    """Multiply-adds of a network's convolutions for one picture of `side` pixels."""
    total = 0

    def count(layer: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        each = layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
        total += output.numel() * each

    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    picture = partial(torch.zeros, 1)
    if isinstance(network, Tail):
        network(picture(network.first.in_channels, side, side))
    elif isinstance(network, Reverse):
        network(picture(3, side, side), picture(network.noise, side, side))
    else:
        network(picture(3, side, side))
    for hook in hooks:
        hook.remove()
    return total


def as_text(rows: list[Cost]) -> str:
    """A Markdown table: one line a network, millions of multiply-adds a side."""
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
