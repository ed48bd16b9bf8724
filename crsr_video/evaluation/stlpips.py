"""ST-LPIPS: learned perceptual similarity that tolerates small shifts.

Source: Ghildyal and Liu 2022, "Shift-tolerant Perceptual Similarity Metric". The features are those
of a VGG-16 whose pooling layers blur before they drop pixels. The weights (BSD-2-Clause) come from
the package `stlpips-pytorch`; only its file of weights is used.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from crsr_video.networks.blocks import use_channels_last
from crsr_video.weights.packages import package_file, read_state

_SLICES = (2, 2, 3, 3, 3)
"""Convolutions before each feature map; a pooling layer stands between two slices."""


class STLPIPS(nn.Module):
    """Distance of two pictures, which is 0 for equal ones."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        """Build the network from the weights in the file of the package."""
        super().__init__()
        kernels = [name for name in weights if name.startswith("net.") and name.endswith(".weight")]
        self.convolutions = nn.ModuleList(_convolution(weights, name) for name in kernels)
        if len(self.convolutions) != sum(_SLICES):
            raise ValueError("these are not the weights of the VGG network")
        blurs = [value for name, value in weights.items() if name.endswith(".filt")]
        for index, blur in enumerate(blurs):
            self.register_buffer(f"blur_{index}", blur)
        for index in range(len(_SLICES)):
            self.register_buffer(f"weight_{index}", weights[f"lin{index}.model.1.weight"])
        self.register_buffer("shift", weights["scaling_layer.shift"])
        self.register_buffer("scale", weights["scaling_layer.scale"])
        self.requires_grad_(False)

    @classmethod
    def load(cls, path: Path | None = None) -> "STLPIPS":
        """Load the weights.

        Args:
            path: The .pth file. Defaults to that of the installed package.
        """
        path = path or package_file(
            "stlpips_pytorch", "weights/vST0.0/vgg_shift_tolerant.pth", extra="eval"
        )
        return read_state(path, cls)

    @torch.inference_mode()
    def forward(self, prediction: Tensor, truth: Sequence[Tensor]) -> Tensor:
        """Distances of pictures from the truth, (N,).

        Args:
            prediction: (N, 3, H, W), clamped to [0, 1].
            truth: Feature maps of the truth, see `features`.
        """
        pairs = zip(self.features(prediction.clamp(0, 1)), truth, strict=True)
        total = prediction.new_zeros(len(prediction))
        for index, (x, y) in enumerate(pairs):
            difference = (x - y).square()
            weighted = functional.conv2d(difference, self.get_buffer(f"weight_{index}"))
            total += weighted.mean((1, 2, 3))
        return total

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> list[Tensor]:
        """Feature maps of (N, 3, H, W) in [0, 1], scaled to unit length at each pixel."""
        x = (2 * pictures - 1 - self.get_buffer("shift")) / self.get_buffer("scale")
        x = x.contiguous(memory_format=torch.channels_last)
        layers = iter(self.convolutions)
        maps = []
        for index, count in enumerate(_SLICES):
            if index:
                x = _blur_pool(x, self.get_buffer(f"blur_{index - 1}"))
            for _ in range(count):
                x = functional.relu(next(layers)(x))
            maps.append(functional.normalize(x, dim=1))
        return maps


def _blur_pool(x: Tensor, blur: Tensor) -> Tensor:
    """Maximum over 2x2 pixels, blurred, at half the resolution."""
    dense = functional.max_pool2d(x, 2, 1)
    padded = functional.pad(dense, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(padded, blur, stride=2, groups=blur.shape[0])


def _convolution(weights: dict[str, Tensor], name: str) -> nn.Conv2d:
    kernel = weights[name]
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], padding=1)
    with torch.no_grad():
        layer.weight.copy_(kernel)
        assert layer.bias is not None
        layer.bias.copy_(weights[name.replace(".weight", ".bias")])
    use_channels_last(layer)
    return layer
