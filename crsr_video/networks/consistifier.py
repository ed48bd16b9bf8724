"""The consistifier, which removes the degradation of a small face by the camera and the codec.

Its output has the size of its input, and should look like a perfect picture that was shrunk:
without blur, noise or compression blocks. It is our reconstruction of the method's first network,
because the paper's layer counts are not known.
"""

from torch import Tensor, nn

from crsr_video.networks.blocks import Hourglass, begin_at_zero


class Consistifier(nn.Module):
    """The first network, which maps low resolution to low resolution.

    It begins as the identity, because clean input must pass through unchanged.
    """

    def __init__(self, channels: tuple[int, int, int] = (24, 48, 96), middle: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels[0], 3, padding=1)
        self.trunk = Hourglass(channels, down=(1, 1), middle=middle, up=(1, 1))
        self.head = nn.Conv2d(channels[0], 3, 3, padding=1)
        begin_at_zero(self.head)
        self.ranges: dict[str, tuple[float, float]] | None = None
        """Ranges of the activations, if they were measured; see `networks.quantised`."""

    def forward(self, genuine: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] to (N, 3, H, W)."""
        x = (genuine - 0.5).to(self.stem.weight.dtype)
        change: Tensor = self.head(self.trunk(self.stem(x)))
        return genuine + change.float()


class IdentityConsistifier(nn.Module):
    """A consistifier that corrects nothing."""

    def forward(self, genuine: Tensor) -> Tensor:
        """Return (N, 3, H, W) unchanged."""
        return genuine
