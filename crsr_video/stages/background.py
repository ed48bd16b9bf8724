"""Treat the whole frame with a network, outside the masks of the enhanced faces.

The network's output is a change, which is added to the frame's own planes at their own bit depth.
The frame is processed in tiles that overlap by more than the network can see, so the result is that
of the whole frame, in bounded memory.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from crsr_video.imaging.colour import delta_to_codes
from crsr_video.imaging.masks import mask
from crsr_video.imaging.resampling import plane_from_frame, sample
from crsr_video.imaging.warping import warp
from crsr_video.types import FloatPicture, Frame, Plane

TILE_PX = 512
"""Side of a tile in pixels of the source, without its overlap."""


class PictureCorrector(Protocol):
    """Computes the change of a picture."""

    reach: int
    """Distance in pixels beyond which no result depends on the picture; a multiple of 8."""

    def __call__(self, picture: FloatPicture, scale: int) -> FloatPicture:
        """Return the change of the enlarged picture.

        Args:
            picture: RGB, float32 (H, W, 3), nominally in [0, 1].
            scale: 1, 2 or 4.

        Returns:
            float32 (H * scale, W * scale, 3).
        """


class Background:
    """Adds the change of the background to frames into which faces have been pasted.

    Args:
        correct: Computes the change.
        tile: Side of a tile in pixels of the source, a multiple of 8.
    """

    def __init__(self, correct: PictureCorrector, tile: int = TILE_PX) -> None:
        self._correct = correct
        self._tile = tile

    def treat(self, source: Frame, pasted: Frame) -> Frame:
        """Return the finished frame.

        The more a face's mask covers a pixel, the less of the change the pixel gets.

        Args:
            source: The frame as it was decoded.
            pasted: The frame at its final size, with its faces.
        """
        scale = pasted.width // source.width
        faces = mask(pasted) if pasted.changed else None
        planes = tuple(plane.copy() for plane in pasted.components)
        for rows in self._spans(source.height):
            for columns in self._spans(source.width):
                self._treat_tile(source, planes, faces, rows, columns, scale)
        return pasted.with_components(planes)

    def _spans(self, length: int) -> Iterator[tuple[int, int]]:
        """Yield the first pixel of each tile, and the pixel after its last one."""
        return ((low, min(low + self._tile, length)) for low in range(0, length, self._tile))

    def _treat_tile(
        self,
        source: Frame,
        planes: tuple[Plane, ...],
        faces: FloatPicture | None,
        rows: tuple[int, int],
        columns: tuple[int, int],
        scale: int,
    ) -> None:
        """Add the change to the samples of one tile."""
        reach = self._correct.reach
        top, bottom = max(0, rows[0] - reach), min(rows[1] + reach, source.height)
        left, right = max(0, columns[0] - reach), min(columns[1] + reach, source.width)
        corner = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]])
        change = self._correct(sample(source, corner, right - left, bottom - top), scale)
        if faces is not None:
            seen = slice(scale * top, scale * bottom), slice(scale * left, scale * right)
            change *= (1 - faces[seen])[..., None]
        codes = delta_to_codes(change, source.layout)
        highest = 2**source.layout.bits - 1
        for index, plane in enumerate(planes):
            y_shift, x_shift = _shifts(source, index)
            y, y_first = _samples(rows, top, scale, y_shift)
            x, x_first = _samples(columns, left, scale, x_shift)
            own = np.ascontiguousarray(codes[..., index])
            if x_shift or y_shift:
                sited = plane_from_frame(source.layout, index)
                own = warp(own, sited, x.stop - x_first, y.stop - y_first)
            own = own[y.start - y_first : y.stop - y_first, x.start - x_first : x.stop - x_first]
            plane[y, x] = np.clip(np.rint(plane[y, x] + own), 0, highest)


def _samples(span: tuple[int, int], first: int, scale: int, shift: int) -> tuple[slice, int]:
    """Return the samples of a plane in a span of source pixels, and the sample at `first`."""
    low, high = (-(-scale * end >> shift) for end in span)
    return slice(low, high), scale * first >> shift


def _shifts(frame: Frame, component: int) -> tuple[int, int]:
    """Return log2 of the height and the width of luma over those of a component."""
    if component == 0:
        return 0, 0
    return frame.layout.y_shift, frame.layout.x_shift
