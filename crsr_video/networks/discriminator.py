"""The discriminator: does a picture belong to a domain? Used in training only.

One class serves both domains of low resolution and the one of high resolution; the number of
halvings says how large a piece it judges at once.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """A picture to a map of verdicts, above zero for "real".

    Patches are judged, not whole pictures (Isola et al. 2017): there are few faces to learn from,
    and a judge of whole faces learns them by heart. Spectral normalisation keeps its slope bounded
    (Miyato et al. 2018).

    Args:
        channels: Of the first layer; doubled at each halving up to eight times.
        halvings: Of the resolution.
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
        """(N, 3, H, W) in [0, 1] to the features of every layer; the last are the verdicts."""
        with _full_precision_on_cuda(picture):
            x = picture - 0.5
            features: list[Tensor] = []
            for layer in self.layers:
                x = functional.leaky_relu(layer(x), 0.2)
                features.append(x)
            return [*features, self.verdict(x)]


class FeatureDiscriminator(nn.Module):
    """Judges a picture by a frozen network's feature maps, and by its pixels.

    A small head stands on each map, behind a fixed random mixture of its channels, so that it
    cannot lean on the few channels that tell real from made best (projected GANs, Sauer et al.
    2021). All trained layers are spectrally normalised.

    Args:
        channels: Of each feature map.
        widths: Of each head.
        strides: Of each head's first layer.
        pixels: Channels of the first layer of the head that judges pixels.
        seed: Of the random mixtures.
        gains: Factors of the heads' verdicts. Spectral normalisation bounds how much a head can
            tell apart, and fine detail differs by little: without gains, the heads of the finest
            maps learnt nothing in 400 steps.
        pixels_gain: Factors of the heads' verdicts. Spectral normalisation bounds how much a head
            can tell apart, and fine detail differs by little: without gains, the heads of the
            finest maps learnt nothing in 400 steps.
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
            maps: Their feature maps, of which the first are used.

        Returns:
            Maps of verdicts, above zero for "real", one of each head.
        """
        with _full_precision_on_cuda(pictures):
            verdicts = []
            for index, head in enumerate(self.heads):
                mixed = functional.conv2d(maps[index], getattr(self, f"mixture_{index}"))
                # Unit vectors: heads judge the kind of a pattern, not its strength.
                unit = functional.normalize(mixed.float(), dim=1) * mixed.shape[1] ** 0.5
                verdicts.append(self._gains[index] * head(unit))
            verdicts.append(self._pixels_gain * self.pixels(4 * (pictures - 0.5)))
        return verdicts


def _full_precision_on_cuda(x: Tensor) -> torch.autocast:
    """Autocast as it is, but off on CUDA.

    There it breaks spectral normalisation (https://github.com/pytorch/pytorch/issues/125544).
    """
    kind = x.device.type
    enabled = kind != "cuda" and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, torch.get_autocast_dtype(kind), enabled=enabled)
