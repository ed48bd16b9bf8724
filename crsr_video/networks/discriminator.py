"""The discriminator: does a picture belong to a domain? Used in training only.

One class serves both domains of low resolution and the one of high resolution; the number of
halvings says how large a piece it judges at once.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """A picture to a map of verdicts, above zero for "real".

    Patches are judged, not whole pictures (Isola et al. 2017): there are few faces to learn from,
    and a judge of whole faces learns them by heart. Spectral normalisation keeps its slope bounded
    (Miyato et al. 2018).
    Args: channels: of the first layer; doubled at each halving up to eight times.
          halvings: of the resolution.
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
        x = picture - 0.5
        features: list[Tensor] = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            features.append(x)
        return [*features, self.verdict(x)]
