"""dlib's face-recognition network as a torch module, through which gradients pass.

The network is Davis King's `dlib_face_recognition_resnet_model_v1` (weights in the public domain,
CC0), a ResNet with 29 convolutions. It maps a face to 128 numbers, which are close together for
pictures of the same person. Its input is a face chip; see `imaging.chips`.
"""

from math import prod
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from crsr_video.networks.blocks import use_channels_last

_STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""Channels and number of blocks of each stage, and whether its first block halves the size."""
_MAPS = (3, 7, 10)
"""The blocks after which feature maps are taken, which are the ends of the first three stages."""
_MEAN = (122.782, 117.001, 104.298)
"""Red, green and blue that the network subtracts from codes of 0 to 255."""


class Parameters(Protocol):
    """Source of the network's layers, in their order."""

    def convolution(
        self, channels_in: int, channels: int, kernel: int, stride: int = 1
    ) -> nn.Conv2d:
        """Return the next convolution, including the affine layer that follows it."""

    def matrix(self, rows: int, columns: int) -> Tensor:
        """Return the weights (rows, columns) of the next fully connected layer."""


class RecognitionNetwork(nn.Module):
    """Maps face chips to embeddings and to the feature maps of the first stages."""

    def __init__(self, parameters: Parameters) -> None:
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
        use_channels_last(self)

    @classmethod
    def from_dlib(cls, data: bytes) -> "RecognitionNetwork":
        """Build the network from the content of dlib's .dat file.

        Raises:
            ValueError: The data belongs to another network, or is cut off.
            IndexError: The data is cut off.
        """
        return cls(_DlibParameters(data))

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


class _Block(nn.Module):
    """Two 3x3 convolutions whose output is added to their input."""

    def __init__(
        self, parameters: Parameters, channels_in: int, channels: int, *, halves: bool
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
    """Pad with zeros after the last channel, row and column, as dlib does before an addition."""
    channels, height, width = (want - have for want, have in zip(shape, x.shape[1:], strict=True))
    return functional.pad(x, (0, width, 0, height, 0, channels))


class _DlibParameters:
    """Reads parameters from dlib's serialisation, in the order of the layers.

    dlib writes an integer as a byte that counts the bytes after it (its highest bit is the sign),
    and a tensor as its version (2), four sizes, and little-endian floats.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._place = bytearray(data), 0  # torch refuses memory that is read-only.

    def convolution(
        self, channels_in: int, channels: int, kernel: int, stride: int = 1
    ) -> nn.Conv2d:
        size = channels * channels_in * kernel * kernel
        self._skip_past(b"\x05con_4")
        values = self._tensor(size + channels)
        self._skip_past(b"\x07affine_")
        scale, shift = self._tensor(2 * channels).chunk(2)
        # dlib pads only convolutions that keep the size of their input.
        padding = kernel // 2 if stride == 1 else 0
        layer = nn.Conv2d(channels_in, channels, kernel, stride, padding=padding)
        weight = values[:size].view(channels, channels_in, kernel, kernel)
        layer.weight.data.copy_(weight * scale[:, None, None, None])
        assert layer.bias is not None
        layer.bias.data.copy_(values[size:] * scale + shift)
        return layer

    def matrix(self, rows: int, columns: int) -> Tensor:
        self._skip_past(b"\x04fc_2")
        self._integer(), self._integer()
        return self._tensor(rows * columns).view(rows, columns)

    def _skip_past(self, name: bytes) -> None:
        self._place = self._data.index(name, self._place) + len(name)

    def _integer(self) -> int:
        count = self._data[self._place] & 0x0F
        start = self._place + 1
        self._place = start + count
        return int.from_bytes(self._data[start : self._place], "little")

    def _tensor(self, count: int) -> Tensor:
        version = self._integer()
        sizes = [self._integer() for _ in range(4)]
        if version != 2 or prod(sizes) != count:
            raise ValueError(f"a tensor of {count} values was expected, not of sizes {sizes}")
        start, self._place = self._place, self._place + 4 * count
        if self._place > len(self._data):
            raise ValueError("the file is too short")
        return torch.frombuffer(self._data, dtype=torch.float32, count=count, offset=start).clone()
