"""The order of work in the two networks of inference, apart from how each step is computed.

Trained modules say what is computed, with every sum and every ReLU a step of its own, as training
needs it. For inference the same graph is walked in larger steps (a convolution with its ReLU, or
with the sum after it), and an `Arithmetic` says how each of them is done.
"""

from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from crsr_video.networks.consistifier import Consistifier
from crsr_video.networks.superresolver import SuperResolver

_State = TypeVar("_State")

Walkable = Consistifier | SuperResolver
"""Networks that `walk` knows."""


WIDENED = ("tail.first", "tail.third")
"""Convolutions before a pixel shuffle."""


class Arithmetic(Protocol[_State]):
    """How the steps are computed; what travels between them is its own matter.

    Names are those of the convolutions in the network (``trunk.full_down.0.first``).
    """

    def stem(self, picture: Tensor) -> _State:
        """The first convolution, of float32 (N, 3, H, W) in [0, 1]."""

    def relu(self, name: str, x: _State) -> _State:
        """A convolution and a ReLU."""

    def add(self, name: str, x: _State, onto: _State) -> _State:
        """A convolution, added to `onto`, which may be overwritten."""

    def rise(self, name: str, x: _State, onto: _State) -> _State:
        """A `Rise`, added to `onto`, which may be overwritten; `name` is its convolution's."""

    def head(self, x: _State, picture: Tensor) -> Tensor:
        """The last convolution, and the picture that follows: float32 (N, 3, fH, fW)."""

    def widen(self, name: str, x: _State) -> _State:
        """A convolution, a ReLU and a pixel shuffle by 2."""

    def texture(self, name: str, x: _State, picture: Tensor, share: float) -> Tensor:
        """A convolution to three channels, of which a share is added to the picture."""


def walk(network: Walkable, how: Arithmetic[_State], picture: Tensor) -> Tensor:
    """The network's result for float32 (N, 3, H, W) in [0, 1]."""

    def blocks(name: str, x: _State) -> _State:
        count = len(network.trunk.get_submodule(name)._modules)
        for block in (f"trunk.{name}.{index}" for index in range(count)):
            x = how.add(f"{block}.second", how.relu(f"{block}.first", x), x)
        return x

    full = blocks("full_down", how.stem(picture))
    half = blocks("half_down", how.relu("trunk.to_half", full))
    quarter = blocks("quarter", how.relu("trunk.to_quarter", half))
    half = blocks("half_up", how.rise("trunk.from_quarter.mix", quarter, half))
    full = blocks("full_up", how.rise("trunk.from_half.mix", half, full))
    drawn = how.head(full, picture)
    if not isinstance(network, SuperResolver) or network.tail is None or network.texture == 0:
        return drawn
    x = how.widen("tail.third", how.relu("tail.second", how.widen("tail.first", full)))
    return how.texture("tail.last", x, drawn, network.texture)


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Every convolution by its name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}


def factor(network: Walkable) -> int:
    """How many times larger the result is than the input."""
    return network.factor if isinstance(network, SuperResolver) else 1


def sample(network: Walkable) -> Tensor:
    """A picture of a usual size, on which whatever depends on shapes can be prepared."""
    return torch.zeros(1, 3, 64, 64, device=network.stem.weight.device)
