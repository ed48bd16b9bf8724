"""A small network for whole frames, which removes artifacts and enlarges one, two or four times."""

from torch import Tensor, nn
from torch.nn import functional

from crsr_video.networks.blocks import begin_at_zero, blocks, enlarge


class BackgroundNetwork(nn.Module):
    """Maps a part of a frame to its correction at one, two or four times its size.

    The trunk works at half the input's resolution, where a convolution costs a quarter and sees
    twice as far. Each factor has its own last layer. With 32 channels at full resolution, the trunk
    had half the parameters and took 2.7 times as long.
    """

    factors = (1, 2, 4)
    reach = 24
    """Number of input pixels beyond which no pixel of the result depends on the input."""
    multiple = 2
    """Height and width of the input must be multiples of this."""

    def __init__(self, channels: int = 48, middle: int = 3, width: int = 16) -> None:
        """Build the network.

        Args:
            channels: Channels at half of the input's resolution.
            middle: Number of residual blocks.
            width: Channels at the input's resolution.
        """
        super().__init__()
        self.stem = nn.Conv2d(12, channels, 3, padding=1)
        self.trunk = blocks(channels, middle)
        self.widen = nn.Conv2d(channels, 4 * width, 3, padding=1)
        self.heads = nn.ModuleList(
            nn.Conv2d(width, 3 * factor**2, 3, padding=1) for factor in self.factors
        )
        for head in self.heads:
            begin_at_zero(head)

    def forward(self, picture: Tensor, factor: int = 1) -> Tensor:
        """Return the enlarged picture: (N, 3, H, W) in [0, 1] to (N, 3, fH, fW)."""
        return enlarge(picture, factor) + self.correction(picture, factor)

    def correction(self, picture: Tensor, factor: int = 1) -> Tensor:
        """Return what `forward` adds to the bicubic enlargement, float32 (N, 3, fH, fW)."""
        x = functional.pixel_unshuffle(picture - 0.5, 2).to(self.stem.weight.dtype)
        x = self.widen(self.trunk(functional.relu(self.stem(x))))
        x = functional.relu(functional.pixel_shuffle(x, 2))
        x = self.heads[self.factors.index(factor)](x)
        return functional.pixel_shuffle(x.float(), factor)
