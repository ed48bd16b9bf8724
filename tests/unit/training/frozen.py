"""Stand-ins for the pretrained networks: the same architectures with random weights."""

from functools import cache

import torch
from torch import Tensor, nn

from crsr_video.networks.recognition import RecognitionNetwork
from crsr_video.training.feature_network import FeatureNetwork

# Channels out and kernel of each block of EfficientNet-lite0.
_BLOCKS = [(16, 3), (24, 3), (24, 3), (40, 5), (40, 5), (80, 3), (80, 3), (80, 3)]
_BLOCKS += [(112, 5), (112, 5), (112, 5), (192, 5), (192, 5), (192, 5), (192, 5), (320, 3)]


def feature_weights() -> dict[str, Tensor]:
    """Return the contents of the package's file, with random values."""
    generator = torch.Generator().manual_seed(3)
    weights: dict[str, Tensor] = {}

    def add(conv: str, norm: str, *shape: int) -> None:
        scale = (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        weights[f"{conv}.weight"] = scale * torch.randn(shape, generator=generator)
        for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            weights[f"{norm}.{name}"] = torch.full((shape[0],), float(value))

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    channels = 32
    for index, (out, kernel) in enumerate(_BLOCKS):
        name, wide = f"_blocks.{index}.", channels * (6 if index else 1)
        if index:
            add(f"{name}_expand_conv", f"{name}_bn0", wide, channels, 1, 1)
        add(f"{name}_depthwise_conv", f"{name}_bn1", wide, 1, kernel, kernel)
        add(f"{name}_project_conv", f"{name}_bn2", out, wide, 1, 1)
        channels = out
    return weights


class RandomParameters:
    """Random parameters in place of dlib's file."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(4)

    def convolution(
        self, channels_in: int, channels: int, kernel: int, stride: int = 1
    ) -> nn.Conv2d:
        padding = kernel // 2 if stride == 1 else 0
        layer = nn.Conv2d(channels_in, channels, kernel, stride, padding=padding)
        with torch.no_grad():
            layer.weight.normal_(std=(channels_in * kernel**2) ** -0.5, generator=self._generator)
            layer.bias.zero_()
        return layer

    def matrix(self, rows: int, columns: int) -> Tensor:
        return torch.randn(rows, columns, generator=self._generator) / rows**0.5


@cache
def frozen_networks() -> dict[str, nn.Module]:
    """Return stand-ins by the names that the perceptual method gives them."""
    return {
        "features": FeatureNetwork(feature_weights()),
        "recognition": RecognitionNetwork(RandomParameters()),
    }
