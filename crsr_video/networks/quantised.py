"""Run the networks on a CPU in int8, which takes half as long as bf16 on processors with VNNI.

Activations are unsigned bytes, whose ranges were measured once on faces. Weights are signed bytes
with a scale for every output channel (Krishnamoorthi 2018, "Quantizing deep convolutional networks
for efficient inference"). Sums are exact in 32 bits, so the result for a picture does not depend on
the rest of its batch. Only the correction is quantised. The picture to which it is added stays in
float32.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.networks.blocks import MULTIPLE, enlarge, without_lattice
from crsr_video.networks.codes import ByteConvolution, Codes, Scale, repeated_pixels, smoothing
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

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest usual value of the result of each step, by the name of its convolution."""

_FINE = 8
"""Number of fine steps per code of the input, so that rounding the input loses almost nothing."""

_STRAY = 3e-5
"""Share of the values at each end that may lie outside a range. Clipping these values costs less
precision than finer steps give to all others."""


_SLOW_WIDTH = 128
"""oneDNN's byte convolutions are slow if rows are a multiple of this many pixels apart in memory. A
super-resolver took 93 ms for 128 x 128 pixels, and 45 ms for a width of 132 pixels."""


def _mixed(name: str) -> str:
    """Return the name of the range that follows the convolution of an `Upsampling`."""
    return f"{name}.low"


class RangeObserver:
    """A backend in plain float32 that records the ranges of all activations."""

    def __init__(self, network: InferenceNetwork) -> None:
        self._layers, self._factor = convolutions(network), factor(network)
        self.ranges: dict[str, tuple[float, float]] = {}

    def stem(self, picture: Tensor) -> Tensor:
        """Compute the first convolution. `plan.Backend` describes all steps."""
        return self._noted("stem", self._layers["stem"](picture - 0.5))

    def relu(self, name: str, x: Tensor) -> Tensor:
        """Compute a convolution and a ReLU, and record the range of the result."""
        return self._noted(name, functional.relu(self._layers[name](x)))

    def add(self, name: str, x: Tensor, onto: Tensor) -> Tensor:
        """Compute a convolution, add it to `onto`, and record the range of the result."""
        return self._noted(name, onto + self._layers[name](x))

    def upsample(self, name: str, x: Tensor, onto: Tensor) -> Tensor:
        """Add an `Upsampling` to `onto`, and record the ranges of its convolution and the sum."""
        mixed = self._noted(_mixed(name), self._layers[name](x))
        large = functional.interpolate(mixed, scale_factor=2, mode="bilinear")
        return self._noted(name, onto + large)

    def head(self, x: Tensor, picture: Tensor) -> Tensor:
        """Return the picture. Its range is not recorded, because the picture is not quantised."""
        change: Tensor = self._layers["head"](x)
        if self._factor == 1:
            return picture + change
        return enlarge(picture, self._factor) + functional.pixel_shuffle(change, self._factor)

    def relu_and_shuffle(self, name: str, x: Tensor) -> Tensor:
        """Compute a convolution, a ReLU and a pixel shuffle. Record the range after the ReLU."""
        return functional.pixel_shuffle(self.relu(name, x), 2)

    def texture(self, name: str, x: Tensor, picture: Tensor, share: float) -> Tensor:
        """Return the picture. Its range is not recorded, because the picture is not quantised."""
        change = functional.pixel_shuffle(self._layers[name](x), 2)
        return picture + share * without_lattice(change)

    def _noted(self, name: str, x: Tensor) -> Tensor:
        low, high = self.ranges.get(name, (0.0, 0.0))
        values = x.flatten()
        count = 1 + int(_STRAY * len(values))
        lowest = float(values.topk(count, largest=False).values[-1])
        highest = float(values.topk(count).values[-1])
        self.ranges[name] = (min(low, lowest), max(high, highest))
        return x


class QuantisedNetwork:
    """A network in int8 for inference on the CPU, whose input and output are float32 (N, 3, H, W).

    Args:
        network: The network, whose weights are copied.
        ranges: Ranges that a `RangeObserver` recorded for this network.
    """

    def __init__(self, network: InferenceNetwork, ranges: Ranges) -> None:
        self._network = network
        self._factor = factor(network)
        self._scales = {name: Scale.of(low, high) for name, (low, high) in ranges.items()}
        # Layers are kept by height and width, because each size needs its own layout of weights.
        # The layout for one batch size is as fast for all others.
        self._layers: dict[tuple[str, torch.Size], ByteConvolution] = {}

    def __call__(self, picture: Tensor) -> Tensor:
        """Run the network in inference mode.

        Raises:
            KeyError: The ranges belong to another network.
            RuntimeError: oneDNN cannot run a layer.
        """
        width = picture.shape[-1]
        if width % _SLOW_WIDTH:
            return run_steps(self._network, self, picture)
        wider = functional.pad(picture, (0, MULTIPLE, 0, 0), mode="replicate")
        return run_steps(self._network, self, wider)[..., : self._factor * width]

    def stem(self, picture: Tensor) -> Codes:
        """Convolve the input, which is split into channels of coarse codes and of fine steps."""
        levels = (picture * (255 * _FINE)).round_().clamp_(0, 255 * _FINE)
        coarse = torch.floor(levels / _FINE)
        split = torch.cat([coarse, levels - coarse * _FINE], 1)
        split = _framed(split).to(torch.uint8).contiguous(memory_format=torch.channels_last)
        x = Codes(split, Scale(1 / 255, 0))
        return self._layer("stem", x)(x, self._scales["stem"])

    def relu(self, name: str, x: Codes) -> Codes:
        """Compute the convolution and the ReLU in one call of oneDNN."""
        return self._layer(name, x)(x, self._scales[name], then="relu")

    def add(self, name: str, x: Codes, onto: Codes) -> Codes:
        """Compute the convolution and the sum in one call of oneDNN, in the memory of `onto`."""
        return self._layer(name, x)(x, self._scales[name], onto=onto)

    def upsample(self, name: str, x: Codes, onto: Codes) -> Codes:
        """Mix the channels, double the resolution, and smooth the result while adding it."""
        mixed = self._layer(name, x)(x, self._scales[_mixed(name)])
        large = Codes(repeated_pixels(mixed.data), mixed.scale)
        return self._smooth(name, large)(large, self._scales[name], onto=onto)

    def head(self, x: Codes, picture: Tensor) -> Tensor:
        """Add the correction to the picture in float32."""
        change = self._layer("head", x).values(x)
        if self._factor == 1:
            return picture + change
        return fast_pixel_shuffle(change.add_(cubic_subpixels(picture, self._factor)), self._factor)

    def relu_and_shuffle(self, name: str, x: Codes) -> Codes:
        """Compute the convolution and the ReLU in one call of oneDNN, then shuffle the pixels."""
        wide = self.relu(name, x)
        return Codes(pixel_shuffle_by_two(wide.data), wide.scale)

    def texture(self, name: str, x: Codes, picture: Tensor, share: float) -> Tensor:
        """Add the texture to the picture in float32."""
        change = fast_pixel_shuffle(self._layer(name, x).values(x), 2)
        return picture.add_(without_lattice(change), alpha=share)

    def _layer(self, name: str, x: Codes) -> ByteConvolution:
        key = (name, x.data.shape[2:])
        if key not in self._layers:
            module = convolutions(self._network)[name]
            assert module.bias is not None
            weight, bias = module.weight.detach().float(), module.bias.detach().float()
            padding = int(module.padding[0])
            if name == BEFORE_SHUFFLE:
                weight, bias = subpixels_first(weight), subpixels_first(bias)
            if name == "stem":
                bias = bias - 0.5 * weight.sum((1, 2, 3))  # The network was trained on x - 0.5.
                weight = torch.cat([weight, weight / _FINE], 1)
                padding = 0
            stride = module.stride[0]
            self._layers[key] = ByteConvolution(weight, bias, x, stride=stride, padding=padding)
        return self._layers[key]

    def _smooth(self, name: str, x: Codes) -> ByteConvolution:
        key, channels = (f"{name}.smooth", x.data.shape[2:]), x.data.shape[1]
        if key not in self._layers:
            zeros = torch.zeros(channels)
            self._layers[key] = ByteConvolution(smoothing(channels), zeros, x, groups=channels)
        return self._layers[key]


def _framed(split: Tensor) -> Tensor:
    """Pad both parts of the input with codes of 0.5, which the first convolution treats as zero."""
    middle = 255 * _FINE // 2
    coarse = functional.pad(split[:, :3], (1, 1, 1, 1), value=middle // _FINE)
    fine = functional.pad(split[:, 3:], (1, 1, 1, 1), value=middle % _FINE)
    return torch.cat([coarse, fine], 1)
