"""Cut crops out of frames, many at once."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crsr_video.imaging.colour import rgb_from_codes
from crsr_video.imaging.geometry import Matrix, compose, invert
from crsr_video.imaging.resampling import plane_from_frame
from crsr_video.stages.on_device.copies import Copies, numbers
from crsr_video.stages.on_device.crops import DeviceCrop, Orders
from crsr_video.stages.on_device.planes import batches, stacked
from crsr_video.stages.on_device.warping import View, resampled, view
from crsr_video.types import Frame, PixelLayout, Plane


@dataclass(frozen=True)
class _Part:
    """What a crop sees of the components that lie on one grid."""

    planes: tuple[Plane, ...]
    """Cut to what is seen; they keep the frame's memory alive."""
    view: View
    """Of these parts."""


@dataclass(frozen=True)
class _Order:
    """All that a crop is made from."""

    layout: PixelLayout
    parts: tuple[_Part, ...]

    @property
    def longest(self) -> int:
        """Side of what goes up."""
        return max(int(side) for part in self.parts for side in part.planes[0].shape)


class Looker:
    """Sees faces in frames: for `Aligner`, in place of `align.crop`.

    What a crop needs of the frame is noted at once; the picture is made when it is looked at,
    together with all that were asked for until then.
    """

    def __init__(self, ways: Copies) -> None:
        self._ways = ways
        self._orders: Orders[_Order] = Orders(self._make)

    def __call__(self, frame: Frame, crop_from_frame: Matrix, side: int) -> DeviceCrop:
        """A crop of (3, side, side).

        Raises: DegenerateFaceError: the transform is singular.
        """
        parts = tuple(_seen(frame, group, crop_from_frame, side) for group in frame.layout.grids)
        return self._orders.crop(crop_from_frame, side, _Order(frame.layout, parts))

    @torch.inference_mode()
    def _make(self, orders: list[tuple[DeviceCrop, _Order]]) -> None:
        kinds: dict[Hashable, list[tuple[DeviceCrop, _Order]]] = defaultdict(list)
        for crop, order in orders:
            kinds[order.layout, crop.size].append((crop, order))
        for alike in kinds.values():
            for indices in batches([order.longest for _, order in alike]):
                crops, batch = zip(*(alike[i] for i in indices), strict=True)
                made = _crops(batch, crops[0].size, self._ways)
                for crop, picture in zip(crops, made, strict=True):
                    crop.fill(picture)


def _seen(frame: Frame, group: tuple[int, ...], crop_from_frame: Matrix, side: int) -> _Part:
    crop_from_plane = compose(crop_from_frame, invert(plane_from_frame(frame.layout, group[0])))
    height, width = frame.components[group[0]].shape
    seen = view((width, height), crop_from_plane, side)
    left, top, right, bottom = seen.box
    planes = tuple(frame.components[i][top:bottom, left:right] for i in group)
    own = View((0, 0, right - left, bottom - top), seen.cells, seen.target_from_cells)
    return _Part(planes, own)


def _crops(orders: Sequence[_Order], side: int, ways: Copies) -> Tensor:
    """Float32 (N, 3, side, side) in [0, 1] of orders of one layout."""
    codes = torch.cat(
        [
            _codes([order.parts[group] for order in orders], side, ways)
            for group in range(len(orders[0].parts))
        ],
        1,
    )
    matrix, black = rgb_from_codes(orders[0].layout)
    lit = codes - numbers(ways, black[:, None, None])
    rgb = torch.einsum("ij,njyx->niyx", numbers(ways, matrix), lit)
    return rgb.clamp(0, 1)


def _codes(parts: Sequence[_Part], side: int, ways: Copies) -> Tensor:
    planes = stacked([part.planes for part in parts], ways)
    sizes = [part.planes[0].shape[::-1] for part in parts]
    views = [part.view for part in parts]
    codes: Tensor = resampled(planes, np.asarray(sizes).tolist(), views, (side, side), ways)
    return codes
