"""The networks: tensors in, tensors out, nothing else.

Contract of those that make pictures: float32 (N, 3, H, W) RGB in [0, 1], H and W multiples of
`MULTIPLE`; the output may overshoot the range a little and is not clamped.
"""

from crsr_video.networks.blocks import MULTIPLE
from crsr_video.networks.consistifier import Consistifier
from crsr_video.networks.discriminator import Discriminator, FeatureDiscriminator
from crsr_video.networks.identity import Bicubic, Identity
from crsr_video.networks.reverse import Reverse
from crsr_video.networks.superresolver import SuperResolver

__all__ = [
    "MULTIPLE",
    "Bicubic",
    "Consistifier",
    "Discriminator",
    "FeatureDiscriminator",
    "Identity",
    "Reverse",
    "SuperResolver",
]
