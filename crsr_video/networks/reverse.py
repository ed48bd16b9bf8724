"""The reverse network, which degrades a perfect small face as a camera and a codec would.

It learns from genuine footage how such footage differs from shrunken pictures, and makes pairs from
which the other two networks learn. Our reconstruction calls it rho. It is used in training only.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from crsr_video.networks.blocks import Hourglass, begin_at_zero


class Reverse(nn.Module):
    """Maps artificial low-resolution pictures (LR) to genuine LR of the same size.

    A clean face has many degraded versions. The noise in the input chooses one of them.
    """

    noise = 2
    """Number of noise channels in the input. The noise is drawn from a normal distribution."""

    def __init__(
        self, channels: tuple[int, int, int] = (24, 48, 96), middle: int = 3, factor: int = 1
    ) -> None:
        """Build the network.

        Args:
            channels: See `Hourglass`.
            middle: See `Hourglass`.
            factor: 1 if the input is the artificial LR, 4 if it is the high-resolution picture.
        """
        super().__init__()
        self.factor = factor
        self.stem = nn.Conv2d(3 * factor**2 + self.noise, channels[0], 3, padding=1)
        self.trunk = Hourglass(channels, down=(1, 1), middle=middle, up=(1, 1))
        self.head = nn.Conv2d(channels[0], 3, 3, padding=1)
        # The network begins close to the identity, but the noise must have an influence.
        begin_at_zero(self.head)
        nn.init.normal_(self.head.weight, std=1e-3)

    def forward(self, artificial: Tensor, noise: Tensor, picture: Tensor | None = None) -> Tensor:
        """Degrade faces.

        Args:
            artificial: (N, 3, H, W) in [0, 1].
            noise: (N, `noise`, H, W).
            picture: (N, 3, factor H, factor W). It is needed only if the factor is not 1.

        Returns:
            (N, 3, H, W).
        """
        seen = artificial
        if self.factor > 1:
            assert picture is not None
            seen = functional.pixel_unshuffle(picture, self.factor)
        x = torch.cat([seen - 0.5, noise], 1).to(self.stem.weight.dtype)
        change: Tensor = self.head(self.trunk(self.stem(x)))
        return artificial + change.float()
