"""The networks: tensors in, tensors out, nothing else.

Contract of every network here: float32 (N, 3, H, W) RGB in [0, 1], H and W multiples of
`MULTIPLE`; the output may overshoot the range a little and is not clamped.
"""

from crsr_video.networks.blocks import MULTIPLE
from crsr_video.networks.consistifier import Consistifier
from crsr_video.networks.identity import Bicubic, Identity
from crsr_video.networks.superresolver import SuperResolver

__all__ = ["MULTIPLE", "Bicubic", "Consistifier", "Identity", "SuperResolver"]
