"""The reverse network: what a camera and a codec would have made of a perfect small face.

The rho of our reconstruction: it learns from genuine footage alone how that differs from shrunken
pictures, and so makes pairs for the other two networks to learn from. Used in training only.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from crsr_video.networks.blocks import Hourglass


class Reverse(nn.Module):
    """Artificial LR to genuine LR, at the same size.

    One clean face has many bad versions; the noise that goes in chooses among them.
    """

    noise = 2
    """Channels of noise, drawn from a normal distribution."""

    def __init__(
        self, channels: tuple[int, int, int] = (24, 48, 96), middle: int = 3, factor: int = 1
    ) -> None:
        """Build the network.

        Args:
            channels: As of `Hourglass`.
            middle: As of `Hourglass`.
            factor: 1: it sees the artificial LR;.
            4: It sees the picture of high resolution.
        """
        super().__init__()
        self.factor = factor
        self.stem = nn.Conv2d(3 * factor**2 + self.noise, channels[0], 3, padding=1)
        self.trunk = Hourglass(channels, down=(1, 1), middle=middle, up=(1, 1))
        self.head = nn.Conv2d(channels[0], 3, 3, padding=1)
        # Nearly the identity at first, but not deaf to the noise.
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, artificial: Tensor, noise: Tensor, picture: Tensor | None = None) -> Tensor:
        """Degrade.

        Args:
            artificial: (N, 3, H, W) in [0, 1].
            noise: (N, `noise`, H, W).
            picture: (N, 3, factor H, factor W), which is seen if the factor is not 1.

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
