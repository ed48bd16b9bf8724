"""The networks on a CPU in eight bits: half the time of bf16 where the processor has VNNI.

Activations travel as unsigned bytes, with a range for each that was measured once on faces;
weights are signed bytes with a scale for every output channel (Krishnamoorthi 2018, "Quantizing
deep convolutional networks for efficient inference"). Sums are made in 32 bits, exactly, so what
else is in a batch changes nothing. Only the correction is so coarse: the picture that it is added
to stays in float32.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.networks.blocks import enlarge, without_lattice
from crsr_video.networks.codes import ByteConvolution, Codes, Scale, doubled, smoothing
from crsr_video.networks.plan import WIDENED, Walkable, convolutions, factor, sample, walk
from crsr_video.networks.shuffle import phases, shuffled, subpixels_first, widened

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest usual value after each step, by the name of its convolution."""

_FINE = 8
"""Steps within one code of eight bits in which the input is told apart: enough that its rounding
is far below what else is rounded."""


_STRAY = 3e-5
"""Share of the values, at either end, that may lie beyond a range: what they lose is less than
what finer steps gain all others."""


def _mixed(name: str) -> str:
    """Name of the range of what a `Rise` adds: it is rounded before it is enlarged."""
    return f"{name}.low"


class Observer:
    """Plain float32 that notes the range of all that passes: to be walked over many faces."""

    def __init__(self, network: Walkable) -> None:
        self._layers, self._factor = convolutions(network), factor(network)
        self.ranges: dict[str, tuple[float, float]] = {}

    def stem(self, picture: Tensor) -> Tensor:
        """See `plan.Arithmetic`, also for the other steps."""
        return self._noted("stem", self._layers["stem"](picture - 0.5))

    def relu(self, name: str, x: Tensor) -> Tensor:
        """In two steps."""
        return self._noted(name, functional.relu(self._layers[name](x)))

    def add(self, name: str, x: Tensor, onto: Tensor) -> Tensor:
        """In two steps."""
        return self._noted(name, onto + self._layers[name](x))

    def rise(self, name: str, x: Tensor, onto: Tensor) -> Tensor:
        """Notes what is added, and the sum."""
        mixed = self._noted(_mixed(name), self._layers[name](x))
        large = functional.interpolate(mixed, scale_factor=2, mode="bilinear")
        return self._noted(name, onto + large)

    def head(self, x: Tensor, picture: Tensor) -> Tensor:
        """The picture, which nothing rounds."""
        change: Tensor = self._layers["head"](x)
        if self._factor == 1:
            return picture + change
        return enlarge(picture, self._factor) + functional.pixel_shuffle(change, self._factor)

    def widen(self, name: str, x: Tensor) -> Tensor:
        """Notes what is shuffled."""
        return functional.pixel_shuffle(self.relu(name, x), 2)

    def texture(self, name: str, x: Tensor, picture: Tensor, share: float) -> Tensor:
        """The picture, likewise."""
        return picture + share * without_lattice(self._layers[name](x))

    def _noted(self, name: str, x: Tensor) -> Tensor:
        low, high = self.ranges.get(name, (0.0, 0.0))
        values = x.flatten()
        count = 1 + int(_STRAY * len(values))
        lowest = float(values.topk(count, largest=False).values[-1])
        highest = float(values.topk(count).values[-1])
        self.ranges[name] = (min(low, lowest), max(high, highest))
        return x


class Quantised:
    """A network of inference on the CPU; float32 (N, 3, H, W) in and out, in inference mode.

    Args:
        network: Its weights are copied.
        ranges: Of this network, from an `Observer`.

    Raises:
        KeyError: The ranges are of another network.
        RuntimeError: OneDNN refuses a layer.
    """

    def __init__(self, network: Walkable, ranges: Ranges) -> None:
        self._network = network
        self._factor = factor(network)
        self._scales = {name: Scale.of(low, high) for name, (low, high) in ranges.items()}
        self._layers: dict[tuple[str, torch.Size], ByteConvolution] = {}
        # By shape too: another one wants another layout, which would be made in every call.
        with torch.inference_mode():
            walk(network, self, sample(network))  # lays the weights out

    def __call__(self, picture: Tensor) -> Tensor:
        """Forward pass."""
        return walk(self._network, self, picture)

    def stem(self, picture: Tensor) -> Codes:
        """The input as eight bits and, in channels of their own, what they leave."""
        levels = (picture * (255 * _FINE)).round_().clamp_(0, 255 * _FINE)
        coarse = torch.floor(levels / _FINE)
        split = torch.cat([coarse, levels - coarse * _FINE], 1)
        split = _framed(split).to(torch.uint8).contiguous(memory_format=torch.channels_last)
        x = Codes(split, Scale(1 / 255, 0))
        return self._layer("stem", x)(x, self._scales["stem"])

    def relu(self, name: str, x: Codes) -> Codes:
        """One call of oneDNN."""
        return self._layer(name, x)(x, self._scales[name], then="relu")

    def add(self, name: str, x: Codes, onto: Codes) -> Codes:
        """One call of oneDNN, into the memory of `onto`."""
        return self._layer(name, x)(x, self._scales[name], onto=onto)

    def rise(self, name: str, x: Codes, onto: Codes) -> Codes:
        """Mixed, doubled, and smoothed as it is added."""
        mixed = self._layer(name, x)(x, self._scales[_mixed(name)])
        large = Codes(doubled(mixed.data), mixed.scale)
        return self._smooth(name, large)(large, self._scales[name], onto=onto)

    def head(self, x: Codes, picture: Tensor) -> Tensor:
        """The correction comes out in float32."""
        change = self._layer("head", x).values(x)
        if self._factor == 1:
            return picture + change
        return shuffled(change.add_(phases(picture, self._factor)), self._factor)

    def widen(self, name: str, x: Codes) -> Codes:
        """One call of oneDNN, and a copy."""
        wide = self.relu(name, x)
        return Codes(widened(wide.data), wide.scale)

    def texture(self, name: str, x: Codes, picture: Tensor, share: float) -> Tensor:
        """The correction comes out in float32."""
        return picture.add_(without_lattice(self._layer(name, x).values(x)), alpha=share)

    def _layer(self, name: str, x: Codes) -> ByteConvolution:
        key = (name, x.data.shape)
        if key not in self._layers:
            module = convolutions(self._network)[name]
            assert module.bias is not None
            weight, bias = module.weight.detach().float(), module.bias.detach().float()
            padding = int(module.padding[0])
            if name in WIDENED:
                weight, bias = subpixels_first(weight), subpixels_first(bias)
            if name == "stem":
                bias = bias - 0.5 * weight.sum((1, 2, 3))  # it was given x - 0.5
                weight = torch.cat([weight, weight / _FINE], 1)
                padding = 0
            stride = module.stride[0]
            self._layers[key] = ByteConvolution(weight, bias, x, stride=stride, padding=padding)
        return self._layers[key]

    def _smooth(self, name: str, x: Codes) -> ByteConvolution:
        key, channels = (f"{name}.smooth", x.data.shape), x.data.shape[1]
        if key not in self._layers:
            zeros = torch.zeros(channels)
            self._layers[key] = ByteConvolution(smoothing(channels), zeros, x, groups=channels)
        return self._layers[key]


def _framed(split: Tensor) -> Tensor:
    """The two halves of the input with a rim of 0.5, which is what the stem sees as zero."""
    middle = 255 * _FINE // 2
    coarse = functional.pad(split[:, :3], (1, 1, 1, 1), value=middle // _FINE)
    fine = functional.pad(split[:, 3:], (1, 1, 1, 1), value=middle % _FINE)
    return torch.cat([coarse, fine], 1)
