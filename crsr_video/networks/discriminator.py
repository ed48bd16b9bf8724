"""Discriminators, which judge during training whether a picture belongs to a domain."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Maps a picture to scores of its patches, which are above zero for real pictures.

    It judges patches instead of whole pictures (Isola et al. 2017), because it would otherwise
    memorise the few faces in the training data. Spectral normalisation bounds its slope (Miyato et
    al. 2018).

    Args:
        channels: Channels of the first layer. Each halving doubles them, up to eight times.
        halvings: Number of times that the resolution is halved. More make the patches larger.
    """

    def __init__(self, channels: int = 32, halvings: int = 2) -> None:
        super().__init__()
        widths = [channels * min(2**level, 8) for level in range(halvings + 1)]
        layers = [nn.Conv2d(3, widths[0], 3, padding=1)]
        layers += [
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in pairwise(widths)
        ]
        layers.append(nn.Conv2d(widths[-1], widths[-1], 3, padding=1))
        self.layers = nn.ModuleList(spectral_norm(layer) for layer in layers)
        self.verdict = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) in [0, 1] to the features of every layer, followed by the scores."""
        with _full_precision_on_cuda(picture):
            x = picture - 0.5
            features: list[Tensor] = []
            for layer in self.layers:
                x = functional.leaky_relu(layer(x), 0.2)
                features.append(x)
            return [*features, self.verdict(x)]


class FeatureDiscriminator(nn.Module):
    """Judges a picture by the feature maps of a frozen network, and by its pixels.

    Each map has a small head behind a fixed random mixture of its channels, so that the head cannot
    rely on the few channels that differ most between real and generated pictures (projected GANs,
    Sauer et al. 2021). All trained layers are spectrally normalised, which bounds the differences
    that a head can express. Real and generated pictures differ little in fine detail: without
    gains, the heads of the finest maps learnt nothing in 400 steps.

    Args:
        channels: Channels of each feature map.
        widths: Channels of each head.
        strides: Stride of the first layer of each head.
        pixels: Channels of the first layer of the head that judges pixels.
        seed: Seed of the random mixtures.
        gains: Factor for the scores of each head.
        pixels_gain: Factor for the scores of the head that judges pixels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        widths: Sequence[int] = (16, 24, 32, 64),
        strides: Sequence[int] = (2, 1, 1, 1),
        pixels: int = 16,
        seed: int = 0,
        gains: Sequence[float] = (4.0, 2.0, 1.0, 1.0),
        pixels_gain: float = 10.0,
    ) -> None:
        super().__init__()
        self._gains, self._pixels_gain = tuple(gains), pixels_gain
        generator = torch.Generator().manual_seed(seed)
        self.heads = nn.ModuleList()
        for index, (wide, width, stride) in enumerate(zip(channels, widths, strides, strict=True)):
            mixture = torch.randn(width, wide, 1, 1, generator=generator) / wide**0.5
            self.register_buffer(f"mixture_{index}", mixture)
            self.heads.append(
                nn.Sequential(
                    spectral_norm(nn.Conv2d(width, 2 * width, 3, stride=stride, padding=1)),
                    nn.LeakyReLU(0.2),
                    spectral_norm(nn.Conv2d(2 * width, 1, 3, padding=1)),
                )
            )
        self.pixels = nn.Sequential(
            spectral_norm(nn.Conv2d(3, pixels, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(pixels, 2 * pixels, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * pixels, 2 * pixels, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * pixels, 1, 3, padding=1)),
        )

    def forward(self, pictures: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        """Judge pictures.

        Args:
            pictures: (N, 3, H, W) in [0, 1].
            maps: Feature maps of the pictures, at least one for each head. Others are ignored.

        Returns:
            A map of scores from each head, above zero for real pictures.
        """
        with _full_precision_on_cuda(pictures):
            scores = []
            for index, head in enumerate(self.heads):
                mixed = functional.conv2d(maps[index], getattr(self, f"mixture_{index}"))
                # With unit vectors, the heads judge the kind of a pattern and not its strength.
                unit = functional.normalize(mixed.float(), dim=1) * mixed.shape[1] ** 0.5
                scores.append(self._gains[index] * head(unit))
            scores.append(self._pixels_gain * self.pixels(4 * (pictures - 0.5)))
        return scores


def _full_precision_on_cuda(x: Tensor) -> torch.autocast:
    """Return the current autocast setting, with autocast disabled on CUDA.

    On CUDA, autocast breaks spectral normalisation
    (https://github.com/pytorch/pytorch/issues/125544).
    """
    kind = x.device.type
    enabled = kind != "cuda" and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, torch.get_autocast_dtype(kind), enabled=enabled)
