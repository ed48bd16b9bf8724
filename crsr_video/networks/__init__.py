"""The networks, as torch modules that map tensors to tensors.

Networks that output pictures take float32 (N, 3, H, W), RGB in [0, 1], with H and W multiples of
`MULTIPLE`. Their output is not clamped, and may leave the range a little.
"""

from crsr_video.networks.background import BackgroundNetwork
from crsr_video.networks.blocks import MULTIPLE
from crsr_video.networks.consistifier import Consistifier, IdentityConsistifier
from crsr_video.networks.discriminator import Discriminator, FeatureDiscriminator
from crsr_video.networks.reverse import Reverse
from crsr_video.networks.superresolver import Bicubic, SuperResolver

__all__ = [
    "MULTIPLE",
    "BackgroundNetwork",
    "Bicubic",
    "Consistifier",
    "Discriminator",
    "FeatureDiscriminator",
    "IdentityConsistifier",
    "Reverse",
    "SuperResolver",
]
