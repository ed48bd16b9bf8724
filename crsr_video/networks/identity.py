"""Networks without weights, for tests of the pipeline and as a baseline in comparisons."""

from torch import Tensor, nn

from crsr_video.networks.blocks import enlarge


class IdentityConsistifier(nn.Module):
    """A consistifier that corrects nothing."""

    def forward(self, genuine: Tensor) -> Tensor:
        """Return (N, 3, H, W) unchanged."""
        return genuine


class Bicubic(nn.Module):
    """A super-resolver that enlarges bicubically, which is the baseline of all comparisons."""

    factor = 4

    def forward(self, consistent: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 3, 4H, 4W)."""
        return enlarge(consistent, self.factor)
