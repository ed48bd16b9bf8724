"""The order of the steps of both networks at inference, independent of what computes the steps.

For training, the modules compute every sum and every ReLU as a step of its own. For inference, the
same graph is computed in larger steps: a convolution with its ReLU, or with the sum after it. A
`Backend` computes the steps.
"""

from typing import Protocol, TypeVar

from torch import Tensor, nn

from crsr_video.networks.consistifier import Consistifier
from crsr_video.networks.superresolver import SuperResolver

_State = TypeVar("_State")

InferenceNetwork = Consistifier | SuperResolver
"""Networks that `run_steps` knows."""


BEFORE_SHUFFLE = "tail.first"
"""Convolution before a pixel shuffle of quantised activations."""


class Backend(Protocol[_State]):
    """Computes the steps, with states of its own type between them.

    Names are those of the convolutions in the network, such as ``trunk.full_down.0.first``.
    """

    def stem(self, picture: Tensor) -> _State:
        """Compute the first convolution. The picture is float32 (N, 3, H, W) in [0, 1]."""

    def relu(self, name: str, x: _State) -> _State:
        """Compute a convolution and a ReLU."""

    def add(self, name: str, x: _State, onto: _State) -> _State:
        """Add a convolution to `onto`, which may be overwritten."""

    def upsample(self, name: str, x: _State, onto: _State) -> _State:
        """Add an `Upsampling`, whose convolution has this name, to `onto`."""

    def head(self, x: _State, picture: Tensor) -> Tensor:
        """Compute the last convolution, and return the picture, float32 (N, 3, fH, fW)."""

    def relu_and_shuffle(self, name: str, x: _State) -> _State:
        """Compute a convolution, a ReLU and a pixel shuffle by 2."""

    def texture(self, name: str, x: _State, picture: Tensor, share: float) -> Tensor:
        """Add the texture head's correction, times `share`, to the picture.

        The last convolution has three channels for each sub-pixel of a pixel of `x`.
        """


def run_steps(network: InferenceNetwork, backend: Backend[_State], picture: Tensor) -> Tensor:
    """Return the result of a network for float32 (N, 3, H, W) in [0, 1]."""

    def blocks(name: str, x: _State) -> _State:
        count = len(list(network.get_submodule(name).children()))
        for block in (f"{name}.{index}" for index in range(count)):
            x = backend.add(f"{block}.second", backend.relu(f"{block}.first", x), x)
        return x

    full = blocks("trunk.full_down", backend.stem(picture))
    half = blocks("trunk.half_down", backend.relu("trunk.to_half", full))
    quarter = blocks("trunk.quarter", backend.relu("trunk.to_quarter", half))
    half = blocks("trunk.half_up", backend.upsample("trunk.from_quarter.mix", quarter, half))
    full = blocks("trunk.full_up", backend.upsample("trunk.from_half.mix", half, full))
    drawn = backend.head(full, picture)
    if not isinstance(network, SuperResolver) or network.tail is None or network.texture == 0:
        return drawn
    x = backend.relu("tail.second", backend.relu_and_shuffle("tail.first", full))
    return backend.texture("tail.last", x, drawn, network.texture)


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Return every convolution of a network by its name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}


def factor(network: InferenceNetwork) -> int:
    """Return how many times larger the result of a network is than its input."""
    return network.factor if isinstance(network, SuperResolver) else 1
