"""Parts of frames' planes, stacked for the device and brought back; values are codes."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from crsr_video.stages.on_device.copies import Array, Copies
from crsr_video.types import Plane

MOST = 16
"""Faces at once: enough to fill a GPU."""
_MOST_SAMPLES = MOST * 512**2
"""Of one plane at once, so that large faces do not fill its memory."""


def batches(sides: Sequence[int]) -> list[list[int]]:
    """Which pictures, by their longer sides, go together: smaller ones are padded, so of a kind."""
    kinds: dict[int, list[int]] = {}
    for index, side in enumerate(sides):
        kinds.setdefault(max(side - 1, 1).bit_length(), []).append(index)
    parts = []
    for bits, indices in kinds.items():
        count = max(1, min(MOST, _MOST_SAMPLES >> 2 * bits))
        parts += [indices[i : i + count] for i in range(0, len(indices), count)]
    return parts


def stacked(parts: Sequence[Sequence[Plane]], ways: Copies) -> Tensor:
    """Send up parts of planes, one list for each face; float32 (N, G, H, W).

    Beyond a smaller part lies anything.
    """
    height, width = (max(part[0].shape[axis] for part in parts) for axis in (0, 1))
    deep = parts[0][0].itemsize == 2
    # Torch knows no arithmetic of uint16: the same bits go as int16, and lose their sign there.
    host = ways.blank(
        (len(parts), len(parts[0]), height, width), torch.int16 if deep else torch.uint8
    )
    view = host.numpy().view(np.uint16) if deep else host.numpy()
    for index, part in enumerate(parts):
        for component, plane in enumerate(part):
            view[index, component, : plane.shape[0], : plane.shape[1]] = plane
    codes = ways.up(host)
    return (codes.to(torch.int32) & 0xFFFF).float() if deep else codes.float()


def brought_down(codes: Tensor, bits: int, deep: bool, ways: Copies) -> Callable[[], Array]:
    """Round once, clip to the depth, and begin the way down: uint8 or uint16 (N, G, H, W)."""
    whole = codes.round().clamp(0, 2**bits - 1)
    if not deep:
        return ways.down(whole.to(torch.uint8))
    coming = ways.down(whole.to(torch.int32).to(torch.int16))
    return lambda: coming().view(np.uint16)
