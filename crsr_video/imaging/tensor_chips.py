"""Cuts chips out of crops that are torch tensors, and lets gradients pass through."""

from functools import lru_cache

import torch
from torch import Tensor

from crsr_video.imaging.chips import CHIP, chip_from_crop


def chips(crops: Tensor, scale: float = 1.0, dy: float = 0.0) -> Tensor:
    """Cut the network's input out of aligned faces, so that gradients pass back to them.

    Args:
        crops: (N, 3, S, S) in [0, 1].
        scale: See `chip_from_crop`.
        dy: See `chip_from_crop`.

    Returns:
        (N, 3, 150, 150) in [0, 1].
    """
    side = crops.shape[-1]
    vertical, horizontal = (_weights(side, axis, scale, dy, crops.device) for axis in (0, 1))
    with torch.autocast(crops.device.type, enabled=False):
        seen = vertical @ crops.float() @ horizontal.T
    return seen.clamp(0, 1).contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)
def _weights(side: int, axis: int, scale: float, dy: float, device: torch.device) -> Tensor:
    """Return weights (150, S) that turn a crop's rows (axis 0) or columns (1) into a chip's.

    Crops and chips are both upright, so one matrix for each axis suffices to resample a picture.
    """
    matrix = chip_from_crop(side, scale, dy)
    step = 1 / matrix[1 - axis, 1 - axis]
    start = -matrix[1 - axis, 2] * step
    places = start + step * torch.arange(CHIP, dtype=torch.float64)
    width = max(1.0, float(step))
    distance = (torch.arange(side, dtype=torch.float64)[None] - places[:, None]).abs() / width
    weights = (1 - distance).clamp_min(0)
    total = weights.sum(1, keepdim=True).clamp_min(1e-9)
    normalised: Tensor = (weights / total).float()
    return normalised.to(device)
