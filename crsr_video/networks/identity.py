"""Networks that do nothing: the whole pipeline can be run and tested without weights."""

from torch import Tensor, nn

from crsr_video.networks.blocks import enlarge


class Identity(nn.Module):
    """A consistifier that finds nothing to correct."""

    def forward(self, genuine: Tensor) -> Tensor:
        """(N, 3, H, W), unchanged."""
        return genuine


class Bicubic(nn.Module):
    """A super-resolver that invents nothing; also the baseline that others must beat."""

    factor = 4

    def forward(self, consistent: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 3, 4H, 4W)."""
        return enlarge(consistent, self.factor)
