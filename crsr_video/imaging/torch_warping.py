"""Resample many pictures at once, each under its own transform: `warping.warp` in torch.

As in `warping.warp`, the part that a target sees is low-pass filtered where it shrinks, and sampled
with Keys' cubic kernel (a = -3/4), which OpenCV and torch share. Shrinking and filtering along an
axis are linear, so one matrix for the rows and one for the columns do both. Matrix products are
used instead of convolutions (and therefore instead of kornia), because GPUs may round the operands
of convolutions to eleven bits, which would be visible in twelve-bit video.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.imaging.geometry import Matrix, compose, invert, resize_matrix, scale_of
from crsr_video.imaging.warping import seen_region

AsFloats = Callable[[Any], Tensor]
"""A function that puts nested lists of numbers on the device as float32."""

_POSITIONS_PER_PIXEL = 32 if int(cv2.__version__.partition(".")[0]) < 5 else None
"""OpenCV before version 5 rounds positions to 1/32 pixel before it samples."""


@dataclass(frozen=True)
class SampledRegion:
    """The part of a picture that a target sees, and how it is sampled."""

    box: tuple[int, int, int, int]
    """Left, top, right, bottom in the picture's pixels, half-open. It may exceed the picture."""
    cells: tuple[int, int]
    """Columns and rows after shrinking by averages, or those of the box if it is not shrunk."""
    target_from_cells: Matrix

    @cached_property
    def scale(self) -> float:
        """Scale from cells to the target, at most 1."""
        return min(1.0, scale_of(self.target_from_cells))

    @property
    def axes(self) -> list[list[float]]:
        """First pixel, pixels per cell, number of cells and scale, for x and for y."""
        left, top, right, bottom = self.box
        return [
            [first, length / cells, cells, self.scale]
            for first, length, cells in zip(
                (left, top), (right - left, bottom - top), self.cells, strict=True
            )
        ]


def view(
    size: tuple[int, int], target_from_source: Matrix, side: int, *, rim: int = 0
) -> SampledRegion:
    """Return the part of a picture that a target sees.

    Args:
        size: Width and height of the picture.
        target_from_source: 2x3, pixel centres at integers.
        side: The longer side of the target.
        rim: Pixels around the picture that may be seen too.

    Raises:
        DegenerateFaceError: The transform is singular.
    """
    scale = scale_of(target_from_source)
    left, top, right, bottom = seen_region(size, target_from_source, side, rim=rim)
    moved = compose(target_from_source, [[1.0, 0.0, left], [0.0, 1.0, top]])
    lengths = (right - left, bottom - top)
    columns, rows = lengths
    if scale < 0.5:
        # Averaging before strong shrinking keeps the filter small, as in `warp`.
        columns, rows = (max(1, round(length / int(1 / scale))) for length in lengths)
        moved = compose(moved, invert(resize_matrix(columns / lengths[0], rows / lengths[1])))
    return SampledRegion((left, top, right, bottom), (columns, rows), moved)


def resampled(
    pictures: Tensor,
    sizes: Sequence[tuple[int, int]],
    views: Sequence[SampledRegion],
    target: tuple[int, int],
    as_floats: AsFloats,
) -> Tensor:
    """Resample many pictures into targets of one size.

    Args:
        pictures: float32 (N, C, H, W).
        sizes: Width and height of each picture. The rest of its array may hold any finite values.
        views: One view for each picture. A picture is extended by replicating its edges.
        target: Width and height of all targets.
        as_floats: Puts lists of numbers on the device.

    Returns:
        float32 (N, C, height, width).
    """
    axes = as_floats([seen.axes for seen in views])
    edges = as_floats(sizes)
    steps = as_floats([invert(seen.target_from_cells) for seen in views])
    # There must be at least two cells, because the ends of a grid are at -1 and 1.
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
    """Return how many cells the filter of `warping.antialias_kernel` reaches to either side."""
    return int(np.ceil(2 / scale)) - 1


def shrinking(axis: Tensor, length: Tensor, cells: int, pixels: int, reach: int) -> Tensor:
    """Return the matrices (N, cells, pixels) of averaging and filtering along one axis.

    Pictures are replicated beyond their ends before they are averaged, and the averages are
    replicated before they are filtered.

    Args:
        axis: (N, 4), see `SampledRegion.axes`.
        length: (N,), pixels of each picture. Columns beyond them are zero.
        cells: Rows of the matrices.
        pixels: Columns of the matrices.
        reach: Reach of the widest filter in cells.
    """
    first, pitch, count, scale = axis[:, :, None, None].unbind(1)
    place = torch.arange(-reach, cells + reach, device=axis.device, dtype=torch.float32)[:, None]
    at = torch.minimum(place.clamp(min=0), count - 1)
    averages = _averages(first + at * pitch, pitch, length[:, None, None], pixels)
    centre = torch.minimum(place[reach : reach + cells], count - 1)
    filters = _keys((place.mT - centre).abs() * scale)
    return (filters / filters.sum(2, keepdim=True)) @ averages


def _averages(low: Tensor, pitch: Tensor, length: Tensor, pixels: int) -> Tensor:
    """Return the shares of pixels in cells that begin at `low`, with replicated end pixels."""
    pixel = torch.arange(pixels, device=low.device, dtype=torch.float32)
    begin = torch.where(pixel == 0, -torch.inf, pixel)
    end = torch.where(pixel == length - 1, torch.inf, pixel + 1)
    shares = torch.minimum(low + pitch, end) - torch.maximum(low, begin)
    shares = torch.where(pixel < length, shares, 0.0).clamp(min=0)
    return shares / shares.sum(2, keepdim=True)


def _keys(d: Tensor) -> Tensor:
    """Return Keys' cubic kernel (a = -1/2) at distances `d`, as `warping.antialias_kernel`."""
    near = (1.5 * d - 2.5) * d**2 + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def _grid(cells_from_target: Tensor, counts: Sequence[int], target: tuple[int, int]) -> Tensor:
    """Return torch's sampling grid, (N, height, width, 2), with the end cells at -1 and 1."""
    x, y = (torch.arange(n, device=cells_from_target.device, dtype=torch.float32) for n in target)
    a, b, c = cells_from_target[:, :, None, None].unbind(-1)
    places = a * x + b * y[:, None] + c
    if _POSITIONS_PER_PIXEL is not None:
        places = (places * _POSITIONS_PER_PIXEL).round() / _POSITIONS_PER_PIXEL
    ends = [2 / (count - 1) for count in counts]
    return torch.stack([places[:, axis] * ends[axis] - 1 for axis in (0, 1)], -1)
