"""Run the networks on a CPU with fused operations of oneDNN, in bf16 or float32.

The operations are those of the PyTorch modules. A ReLU or a sum is computed while the result of a
convolution is still in a register. Weights are converted to the layout of the processor only once
for each size of the input.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.networks import onednn
from crsr_video.networks.blocks import without_lattice
from crsr_video.networks.plan import (
    BEFORE_SHUFFLE,
    InferenceNetwork,
    convolutions,
    factor,
    run_steps,
)
from crsr_video.networks.shuffle import (
    cubic_subpixels,
    fast_pixel_shuffle,
    pixel_shuffle_by_two,
    subpixels_first,
)


@dataclass(frozen=True, slots=True)
class _Layer:
    weight: Tensor
    bias: Tensor
    stride: list[int]
    padding: list[int]


class FusedNetwork:
    """A network for inference on the CPU. Its input and output are float32 (N, 3, H, W).

    Args:
        network: The network, whose weights are copied.
        dtype: Type of weights and activations, bfloat16 or float32.
    """

    def __init__(self, network: InferenceNetwork, dtype: torch.dtype) -> None:
        self._network, self._dtype = network, dtype
        self._factor = factor(network)
        # Layers are kept by height and width, because each size needs its own layout of weights.
        # The layout for one batch size is as fast for all others.
        self._layers: dict[tuple[str, torch.Size], _Layer] = {}

    def __call__(self, picture: Tensor) -> Tensor:
        """Run the network in inference mode.

        Raises:
            RuntimeError: oneDNN refuses a layer.
        """
        return run_steps(self._network, self, picture)

    def stem(self, picture: Tensor) -> Tensor:
        """Compute the first convolution. All steps are described in `plan.Backend`."""
        x = (picture - 0.5).to(self._dtype).contiguous(memory_format=torch.channels_last)
        return self._convolved("stem", x, "none")

    def relu(self, name: str, x: Tensor) -> Tensor:
        """Compute a convolution and its ReLU in one call of oneDNN."""
        return self._convolved(name, x, "relu")

    def add(self, name: str, x: Tensor, onto: Tensor) -> Tensor:
        """Add a convolution to `onto` in one call of oneDNN, which overwrites `onto`."""
        layer = self._layer(name, x)
        return onednn.convolve_onto(onto, x, layer.weight, layer.bias, layer.stride, layer.padding)

    def upsample(self, name: str, x: Tensor, onto: Tensor) -> Tensor:
        """Mix the channels first, then enlarge, as `blocks.Upsampling` does."""
        mixed = self._convolved(name, x, "none")
        large = functional.interpolate(mixed, scale_factor=2, mode="bilinear", align_corners=False)
        return onto.add_(large)

    def head(self, x: Tensor, picture: Tensor) -> Tensor:
        """Add the correction to the enlarged picture in float32 (see `blocks.enlarge`)."""
        change = self._convolved("head", x, "none").float()
        if self._factor == 1:
            return picture + change
        return fast_pixel_shuffle(change.add_(cubic_subpixels(picture, self._factor)), self._factor)

    def relu_and_shuffle(self, name: str, x: Tensor) -> Tensor:
        """Compute a convolution and its ReLU in one call of oneDNN, then rearrange the pixels."""
        return pixel_shuffle_by_two(self._convolved(name, x, "relu"))

    def texture(self, name: str, x: Tensor, picture: Tensor, share: float) -> Tensor:
        """Add a share of the correction to the picture in float32."""
        change = fast_pixel_shuffle(self._convolved(name, x, "none").float(), 2)
        return picture.add_(without_lattice(change), alpha=share)

    def _convolved(self, name: str, x: Tensor, then: str) -> Tensor:
        layer = self._layer(name, x)
        return onednn.convolve(
            x, layer.weight, layer.bias, layer.stride, layer.padding, relu=then == "relu"
        )

    def _layer(self, name: str, x: Tensor) -> _Layer:
        key = (name, x.shape[2:])
        if key not in self._layers:
            module = convolutions(self._network)[name]
            assert module.bias is not None
            weight, bias = module.weight.detach(), module.bias.detach()
            if name == BEFORE_SHUFFLE:
                weight, bias = subpixels_first(weight), subpixels_first(bias)
            weight, bias = weight.to(self._dtype), bias.to(self._dtype)
            stride, padding = list(module.stride), [int(p) for p in module.padding]
            packed = onednn.pack_weight(weight, stride, padding, x.shape)
            self._layers[key] = _Layer(packed, bias, stride, padding)
        return self._layers[key]
