"""The networks on a CPU with what belongs together computed together, by oneDNN.

The same arithmetic as the modules', in bf16 or float32: a ReLU or a sum is done while a
convolution's result is still in a register, and weights are laid out for the processor once, not
in every call.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.networks import onednn
from crsr_video.networks.blocks import without_lattice
from crsr_video.networks.plan import WIDENED, Walkable, convolutions, factor, sample, walk
from crsr_video.networks.shuffle import phases, shuffled, subpixels_first, widened


@dataclass(frozen=True, slots=True)
class _Layer:
    weight: Tensor
    """In oneDNN's own layout."""
    bias: Tensor
    stride: list[int]
    padding: list[int]


class Fused:
    """A network of inference on the CPU; float32 (N, 3, H, W) in and out, in inference mode.

    Args:
        network: Its weights are copied.
        dtype: Of weights and activations, bfloat16 or float32.

    Raises:
        RuntimeError: OneDNN refuses a layer.
    """

    def __init__(self, network: Walkable, dtype: torch.dtype) -> None:
        self._network, self._dtype = network, dtype
        self._factor = factor(network)
        self._layers: dict[tuple[str, torch.Size], _Layer] = {}
        # By shape too: another one wants another layout, which would be made in every call.
        with torch.inference_mode():
            walk(network, self, sample(network))  # lays the weights out

    def __call__(self, picture: Tensor) -> Tensor:
        """Forward pass."""
        return walk(self._network, self, picture)

    def stem(self, picture: Tensor) -> Tensor:
        """See `plan.Arithmetic`, also for the other steps."""
        x = (picture - 0.5).to(self._dtype).contiguous(memory_format=torch.channels_last)
        return self._convolved("stem", x, "none")

    def relu(self, name: str, x: Tensor) -> Tensor:
        """One call of oneDNN."""
        return self._convolved(name, x, "relu")

    def add(self, name: str, x: Tensor, onto: Tensor) -> Tensor:
        """One call of oneDNN, into the memory of `onto`."""
        layer = self._layer(name, x)
        return onednn.convolve_onto(onto, x, layer.weight, layer.bias, layer.stride, layer.padding)

    def rise(self, name: str, x: Tensor, onto: Tensor) -> Tensor:
        """Same result as `blocks.Rise`: channels are mixed first, then the map is enlarged."""
        mixed = self._convolved(name, x, "none")
        large = functional.interpolate(mixed, scale_factor=2, mode="bilinear", align_corners=False)
        return onto.add_(large)

    def head(self, x: Tensor, picture: Tensor) -> Tensor:
        """The picture in float32 to the end, as `blocks.enlarge` has it."""
        change = self._convolved("head", x, "none").float()
        if self._factor == 1:
            return picture + change
        return shuffled(change.add_(phases(picture, self._factor)), self._factor)

    def widen(self, name: str, x: Tensor) -> Tensor:
        """One call of oneDNN, and a copy."""
        return widened(self._convolved(name, x, "relu"))

    def texture(self, name: str, x: Tensor, picture: Tensor, share: float) -> Tensor:
        """The correction is added in float32."""
        change = without_lattice(self._convolved(name, x, "none").float())
        return picture.add_(change, alpha=share)

    def _convolved(self, name: str, x: Tensor, then: str) -> Tensor:
        layer = self._layer(name, x)
        return onednn.convolve(
            x, layer.weight, layer.bias, layer.stride, layer.padding, relu=then == "relu"
        )

    def _layer(self, name: str, x: Tensor) -> _Layer:
        key = (name, x.shape)
        if key not in self._layers:
            module = convolutions(self._network)[name]
            assert module.bias is not None
            weight, bias = module.weight.detach(), module.bias.detach()
            if name in WIDENED:
                weight, bias = subpixels_first(weight), subpixels_first(bias)
            weight, bias = weight.to(self._dtype), bias.to(self._dtype)
            stride, padding = list(module.stride), [int(p) for p in module.padding]
            packed = onednn.pack_weight(weight, stride, padding, x.shape)
            self._layers[key] = _Layer(packed, bias, stride, padding)
        return self._layers[key]
