"""Resample many pictures at once, each under its own transform: `warp` on a device.

As there, the part that a target sees is low-pass filtered where it shrinks, and sampled with the
cubic kernel of OpenCV and torch (Keys, a = -3/4). Shrinking and filtering along an axis is linear,
so both are one matrix for rows and one for columns.

Sums are added up in another order; and OpenCV before version 5 rounds places to 1/32 of a pixel
before it samples, where here they are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.imaging.geometry import Matrix, bounds, compose, invert, resize_matrix, scale_of
from crsr_video.stages.on_device.copies import Copies, numbers

_KERNEL_MARGIN = 3
"""Pixels around what a target sees that are looked at, as in `warp`."""


@dataclass(frozen=True)
class View:
    """The part of a picture that a target sees, and how."""

    box: tuple[int, int, int, int]
    """left, top, right, bottom in the picture's pixels, half-open; may reach beyond it."""
    cells: tuple[int, int]
    """Width and height after far shrinking by averages; those of the box without."""
    target_from_cells: Matrix

    @cached_property
    def scale(self) -> float:
        """By how much it shrinks still, at most 1."""
        return min(1.0, scale_of(self.target_from_cells))

    @property
    def axes(self) -> list[list[float]]:
        """Of x and y: first pixel, pixels to a cell, cells, scale."""
        left, top, right, bottom = self.box
        return [
            [first, length / cells, cells, self.scale]
            for first, length, cells in zip(
                (left, top), (right - left, bottom - top), self.cells, strict=True
            )
        ]


def view(size: tuple[int, int], target_from_source: Matrix, side: int, *, rim: int = 0) -> View:
    """What a target sees of a picture.

    Args:   size: width and height of the picture.
            side: the longer one of the target.
            rim: pixels around the picture that may be seen too.
    Raises: DegenerateFaceError: the transform is singular.
    """
    scale = scale_of(target_from_source)
    seen = bounds(invert(target_from_source), side)
    margin = _KERNEL_MARGIN + int(np.ceil(2 / min(scale, 1.0)))
    # At least one pixel stays even if the target lies wholly outside.
    low = [
        int(np.clip(np.floor(v) - margin, -rim, n + rim - 1))
        for v, n in zip(seen[:2], size, strict=True)
    ]
    high = [
        int(np.clip(np.ceil(v) + margin + 1, first + 1, n + rim))
        for v, first, n in zip(seen[2:], low, size, strict=True)
    ]
    lengths = [last - first for first, last in zip(low, high, strict=True)]
    moved = compose(target_from_source, [[1.0, 0.0, low[0]], [0.0, 1.0, low[1]]])
    cells = lengths
    if scale < 0.5:
        # Far shrinking: averages first, as `warp` does, keep the filter small.
        cells = [max(1, round(length / int(1 / scale))) for length in lengths]
        factors = [few / length for few, length in zip(cells, lengths, strict=True)]
        moved = compose(moved, invert(resize_matrix(*factors)))
    return View((low[0], low[1], high[0], high[1]), (cells[0], cells[1]), moved)


def resampled(
    pictures: Tensor,
    sizes: Sequence[tuple[int, int]],
    views: Sequence[View],
    target: tuple[int, int],
    ways: Copies,
) -> Tensor:
    """Targets of many pictures.

    Args:    pictures: float32 (N, C, H, W).
             sizes: width and height of each picture; the rest is anything, but finite.
             views: of each; beyond its ends a picture goes on as at its borders.
             target: width and height of all.
    Returns: float32 (N, C, height, width).
    """
    axes = numbers(ways, [seen.axes for seen in views])
    edges = numbers(ways, sizes)
    steps = numbers(ways, [invert(seen.target_from_cells) for seen in views])
    # Two at least: a grid's ends are at -1 and 1.
    counts = [max(2, *(seen.cells[axis] for seen in views)) for axis in (0, 1)]
    reach = max(reach_of(seen.scale) for seen in views)
    columns, rows = (
        shrinking(axes[:, axis], edges[:, axis], counts[axis], n, reach)
        for axis, n in ((0, pictures.shape[3]), (1, pictures.shape[2]))
    )
    small = rows[:, None] @ pictures @ columns.mT[:, None]
    grid = _grid(steps, counts, target)
    return functional.grid_sample(
        small, grid, mode="bicubic", padding_mode="border", align_corners=True
    )


def reach_of(scale: float) -> int:
    """Cells to either side that the filter of `warping.antialias_kernel` takes in."""
    return int(np.ceil(2 / scale)) - 1


def shrinking(axis: Tensor, length: Tensor, cells: int, pixels: int, reach: int) -> Tensor:
    """What averages and filters amount to along one axis; (N, cells, pixels).

    Pictures are replicated beyond their ends before they are averaged, and what is averaged is
    replicated before it is filtered.
    Args: axis: (N, 4), see `View.axes`.
          length: (N,), pixels of each picture; further columns are zero.
          reach: cells that the widest filter takes in.
    """
    first, pitch, count, scale = axis[:, :, None, None].unbind(1)
    place = torch.arange(-reach, cells + reach, device=axis.device, dtype=torch.float32)[:, None]
    at = torch.minimum(place.clamp(min=0), count - 1)
    averages = _averages(first + at * pitch, pitch, length[:, None, None], pixels)
    centre = torch.minimum(place[reach : reach + cells], count - 1)
    filters = keys((place.mT - centre).abs() * scale)
    return (filters / filters.sum(2, keepdim=True)) @ averages


def _averages(low: Tensor, pitch: Tensor, length: Tensor, pixels: int) -> Tensor:
    """Shares of pixels in cells that begin at `low`: the first and last pixel go on for ever."""
    pixel = torch.arange(pixels, device=low.device, dtype=torch.float32)
    begin = torch.where(pixel == 0, -torch.inf, pixel)
    end = torch.where(pixel == length - 1, torch.inf, pixel + 1)
    shares = torch.minimum(low + pitch, end) - torch.maximum(low, begin)
    shares = torch.where(pixel < length, shares, 0.0).clamp(min=0)
    return shares / shares.sum(2, keepdim=True)


def keys(d: Tensor) -> Tensor:
    """Keys' cubic kernel with a = -1/2 at distances `d`, as in `warping.antialias_kernel`."""
    near = (1.5 * d - 2.5) * d**2 + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def _grid(cells_from_target: Tensor, counts: Sequence[int], target: tuple[int, int]) -> Tensor:
    """For torch's sampling: (N, height, width, 2), the first and last cell at -1 and 1."""
    x, y = (torch.arange(n, device=cells_from_target.device, dtype=torch.float32) for n in target)
    a, b, c = cells_from_target[:, :, None, None].unbind(-1)
    places = a * x + b * y[:, None] + c
    ends = [2 / (count - 1) for count in counts]
    return torch.stack([places[:, axis] * ends[axis] - 1 for axis in (0, 1)], -1)
