"""The reverse network: what a camera and a codec would have made of a perfect small face.

The rho of our reconstruction: it learns from genuine footage alone how that differs from shrunken
pictures, and so makes pairs for the other two networks to learn from. Used in training only.
"""

import torch
from torch import Tensor, nn

from crsr_video.networks.blocks import Hourglass


class Reverse(nn.Module):
    """Artificial LR to genuine LR, at the same size.

    One clean face has many bad versions; the noise that goes in chooses among them.
    """

    noise = 2
    """Channels of noise, drawn from a normal distribution."""

    def __init__(self, channels: tuple[int, int, int] = (24, 48, 96), middle: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3 + self.noise, channels[0], 3, padding=1)
        self.trunk = Hourglass(channels, down=(1, 1), middle=middle, up=(1, 1))
        self.head = nn.Conv2d(channels[0], 3, 3, padding=1)
        # Nearly the identity at first, but not deaf to the noise.
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, artificial: Tensor, noise: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] and (N, `noise`, H, W) to (N, 3, H, W)."""
        x = torch.cat([artificial - 0.5, noise], 1).to(self.stem.weight.dtype)
        change: Tensor = self.head(self.trunk(self.stem(x)))
        return artificial + change.float()
