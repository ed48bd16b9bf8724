"""dlib's face-recognition network in plain torch, so that gradients pass through it.

The network is Davis King's `dlib_face_recognition_resnet_model_v1`, a ResNet with 29 convolutions
that maps a face to 128 numbers; its weights are in the public domain (CC0) and come from the
package `face-recognition-models`. The file is a stream of dlib's own serialisation. This reader
takes from it the parameter tensors in order; the architecture is stated here.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from crsr_video.errors import TrainingError
from crsr_video.report.recognition import chip_from_crop
from crsr_video.training.packages import package_file

CHIP = 150
"""Side in pixels of the network's input."""
_STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""Channels, blocks, and whether the first block halves the resolution, of each stage."""
_MAPS = (3, 7, 10)
"""Blocks after which feature maps are taken: the ends of the first three stages."""
_MEAN = (122.782, 117.001, 104.298)
"""Red, green and blue that the network subtracts, of 255."""


class RecognitionNetwork(nn.Module):
    """A face chip to an embedding and the feature maps of the stages before it."""

    def __init__(self, parameters: "_Parameters") -> None:
        super().__init__()
        self.stem = parameters.convolution(3, 32, 7, stride=2)
        blocks, channels = [], 32
        for wide, count, halves in _STAGES:
            for index in range(count):
                blocks.append(_Block(parameters, channels, wide, halves=halves and index == 0))
                channels = wide
        self.blocks = nn.ModuleList(blocks)
        self.embed = nn.Linear(256, 128, bias=False)
        with torch.no_grad():
            self.embed.weight.copy_(parameters.matrix(256, 128).T)
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, path: Path | None = None) -> "RecognitionNetwork":
        """Read the weights.

        Args:
            path: Dlib's .dat file; by default the installed package's.

        Raises:
            TrainingError: The package is not installed, or the file is damaged.
        """
        path = path or package_file(
            "face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat"
        )
        try:
            return cls(_Parameters(path.read_bytes()))
        except (OSError, ValueError, IndexError) as error:
            raise TrainingError(f"cannot read {path}: {error}") from error

    def forward(self, chips: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embed faces.

        Args:
            chips: (N, 3, 150, 150) RGB in [0, 1].

        Returns:
            Embeddings (N, 128), and the maps after the stages of 32, 64 and 128 channels.
        """
        x = (chips * 255 - self.mean) / 256
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, 2)
        maps = []
        for index, block in enumerate(self.blocks, 1):
            x = block(x)
            if index in _MAPS:
                maps.append(x)
        embedding: Tensor = self.embed(x.float().mean((2, 3)))
        return embedding, maps


def chips(crops: Tensor) -> Tensor:
    """The network's view of canonical crops; (N, 3, S, S) to (N, 3, 150, 150), differentiable."""
    side = crops.shape[-1]
    # One matrix for each axis, as `training.optics` resamples: rows of weights over S pixels.
    vertical, horizontal = (_window(side, axis, crops.device) for axis in (0, 1))
    with torch.autocast(crops.device.type, enabled=False):
        seen = vertical @ crops.float() @ horizontal.T
    return seen.clamp(0, 1).contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)
def _window(side: int, axis: int, device: torch.device) -> Tensor:
    """Weights of the crop's rows (axis 0) or columns (1) for those of the chip; (150, S)."""
    matrix = chip_from_crop(side, 1.0, 0.0)
    step = 1 / matrix[1 - axis, 1 - axis]
    start = -matrix[1 - axis, 2] * step
    places = start + step * torch.arange(CHIP, dtype=torch.float64)
    width = max(1.0, float(step))
    distance = (torch.arange(side, dtype=torch.float64)[None] - places[:, None]).abs() / width
    weights = (1 - distance).clamp_min(0)
    total = weights.sum(1, keepdim=True).clamp_min(1e-9)
    normalised: Tensor = (weights / total).float()
    return normalised.to(device)


class _Block(nn.Module):
    """Two 3x3 convolutions, added to the input, which is padded with zeros where it is smaller."""

    def __init__(
        self, parameters: "_Parameters", channels_in: int, channels: int, *, halves: bool
    ) -> None:
        super().__init__()
        self.first = parameters.convolution(channels_in, channels, 3, stride=2 if halves else 1)
        self.second = parameters.convolution(channels, channels, 3)
        self.halves = halves

    def forward(self, x: Tensor) -> Tensor:
        change = self.second(functional.relu(self.first(x)))
        if self.halves:
            x = functional.avg_pool2d(x, 2)
        shape = [max(a, b) for a, b in zip(x.shape[1:], change.shape[1:], strict=True)]
        result: Tensor = functional.relu(_padded(x, shape) + _padded(change, shape))
        return result


def _padded(x: Tensor, shape: list[int]) -> Tensor:
    """With zeros behind the last channel, row and column, as dlib adds unequal tensors."""
    channels, height, width = (want - have for want, have in zip(shape, x.shape[1:], strict=True))
    if not (channels or height or width):
        return x
    return functional.pad(x, (0, width, 0, height, 0, channels))


class _Parameters:
    """Reads parameter tensors from dlib's serialisation, in the order of the layers.

    dlib writes integers as a byte that counts the bytes after it (its highest bit is the sign),
    and a tensor as its version (2), four sizes, and little-endian floats.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def convolution(
        self, channels_in: int, channels: int, kernel: int, stride: int = 1
    ) -> nn.Conv2d:
        """The next convolution, with the affine layer that follows it folded in."""
        size = channels * channels_in * kernel * kernel
        values = self._after(b"\x05con_4", size + channels)
        affine = self._after(b"\x07affine_", 2 * channels)
        # dlib pads a convolution that does not shrink its input, and no other.
        layer = nn.Conv2d(
            channels_in, channels, kernel, stride, padding=kernel // 2 if stride == 1 else 0
        )
        scale, shift = affine[:channels], affine[channels:]
        with torch.no_grad():
            weight = values[:size].view(channels, channels_in, kernel, kernel)
            layer.weight.copy_(weight * scale[:, None, None, None])
            assert layer.bias is not None
            layer.bias.copy_(values[size:] * scale + shift)
        return layer

    def matrix(self, rows: int, columns: int) -> Tensor:
        """The weights of the next fully connected layer, (rows, columns)."""
        self._find(b"\x04fc_2")
        self._integer(), self._integer()
        return self._tensor(rows * columns).view(rows, columns)

    def _after(self, name: bytes, count: int) -> Tensor:
        self._find(name)
        return self._tensor(count)

    def _find(self, name: bytes) -> None:
        self._place = self._data.index(name, self._place) + len(name)

    def _integer(self) -> int:
        count = self._data[self._place] & 0x0F
        start = self._place + 1
        self._place = start + count
        return int.from_bytes(self._data[start : self._place], "little")

    def _tensor(self, count: int) -> Tensor:
        version = self._integer()
        sizes = [self._integer() for _ in range(4)]
        if version != 2 or int(np.prod(sizes)) != count:
            raise ValueError(f"a tensor of {count} values was expected, not of sizes {sizes}")
        end = self._place + 4 * count
        values = np.frombuffer(self._data[self._place : end], "<f4").astype(np.float32)
        if len(values) != count:
            raise ValueError("the file is too short")
        self._place = end
        return torch.from_numpy(values)
