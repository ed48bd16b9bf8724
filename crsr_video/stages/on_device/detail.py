"""How much of the added detail a frame has already: `paste._present` for many faces at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crsr_video.stages.on_device.copies import Copies, numbers
from crsr_video.stages.on_device.operators import gaussian
from crsr_video.stages.on_device.warping import reach_of, shrinking
from crsr_video.stages.paste import FAINT

Sizes = Sequence[tuple[int, int]]
"""Widths and heights."""


@dataclass(frozen=True)
class Missing:
    """Share of what was added that goes in, by coarse cells."""

    share: Tensor
    """(N, rows, columns), of which a face may use fewer."""
    counts: Sizes
    """Cells of each."""

    def spread(self, sizes: Sizes, shape: tuple[int, int], ways: Copies) -> Tensor:
        """Linear in between, for pictures of these sizes; (N, *shape)."""
        rows, columns = (
            _between(
                numbers(ways, [few[axis] for few in self.counts]),
                numbers(ways, [many[axis] for many in sizes]),
                self.share.shape[2 - axis],
                shape[1 - axis],
            )
            for axis in (1, 0)
        )
        return rows @ self.share @ columns.mT


def missing(
    own: Tensor, added: Tensor, detail: Tensor, sizes: Sizes, cells: Sequence[float], ways: Copies
) -> Missing:
    """Where the frame has no such detail of its own.

    Args: own, added: (N, H, W), of which each picture uses its size.
          detail: (N, 1, 1), see `Face.detail`.
          cells: side of a cell in samples, of each.
    """
    counts = [
        (max(1, round(width / cell)), max(1, round(height / cell)))
        for (width, height), cell in zip(sizes, cells, strict=True)
    ]
    rows, columns = (_means(sizes, counts, axis, own.shape[2 - axis], ways) for axis in (1, 0))
    shared, power = (rows @ (x * added) @ columns.mT for x in (own, added))
    present = (shared / (power + FAINT)).clamp(0, 1)
    return Missing(1 - (1 - detail) * present, counts)


def _means(sizes: Sizes, counts: Sizes, axis: int, pixels: int, ways: Copies) -> Tensor:
    """Averages over cells, blurred; (N, cells, pixels)."""
    most = max(few[axis] for few in counts)
    axes = [
        [0.0, many[axis] / few[axis], few[axis], 1.0]
        for many, few in zip(sizes, counts, strict=True)
    ]
    lengths = numbers(ways, [many[axis] for many in sizes])
    blurs = np.zeros((len(counts), most, most), np.float32)
    for blur, few in zip(blurs, counts, strict=True):
        count = few[axis]
        blur[:count, :count] = gaussian(count, 1.0, torch.device("cpu")).numpy()
    return numbers(ways, blurs) @ shrinking(numbers(ways, axes), lengths, most, pixels, 0)


def _between(few: Tensor, many: Tensor, cells: int, pixels: int) -> Tensor:
    """Linear enlargement of `few` cells to `many` pixels each, as OpenCV's; (N, pixels, cells)."""
    few, many = few[:, None, None], many[:, None, None]
    pixel = torch.arange(pixels, device=few.device, dtype=torch.float32)[:, None]
    cell = torch.arange(cells, device=few.device, dtype=torch.float32)
    place = torch.minimum(((pixel + 0.5) * few / many - 0.5).clamp(min=0), few - 1)
    return (1 - (place - cell).abs()).clamp(min=0)


def within(own: Tensor, sizes: Sizes, scales: Sequence[float], ways: Copies) -> Tensor:
    """Planes' part in the band of pictures that are `1 / scale` as large; (N, C, H, W)."""
    coarse = [min(1.0, 1 / scale) for scale in scales]
    if min(coarse) == 1.0:
        return own
    rows, columns = (
        shrinking(
            numbers(ways, [[0.0, 1.0, n[axis], s] for n, s in zip(sizes, coarse, strict=True)]),
            numbers(ways, [n[axis] for n in sizes]),
            own.shape[3 - axis],
            own.shape[3 - axis],
            max(reach_of(s) for s in coarse),
        )
        for axis in (1, 0)
    )
    return rows[:, None] @ own @ columns.mT[:, None]
