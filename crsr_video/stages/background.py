"""Treat the whole frame with a network, outside the masks of the enhanced faces.

The network's output is a change, which is added to the frame's own planes at their own bit depth.
The frame is processed in tiles that overlap by more than the network can see, so the result is that
of the whole frame, in bounded memory.

The result is averaged over time, along the motion. The network by itself would raise flicker,
because it sharpens the noise of each frame anew.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import LUMA_WEIGHTS, delta_to_codes
from crsr_video.imaging.flow import motion_between
from crsr_video.imaging.masks import mask
from crsr_video.imaging.resampling import plane_from_frame, sample
from crsr_video.imaging.warping import warp
from crsr_video.types import FloatPicture, Frame, Plane

TILE_PX = 512
"""Side of a tile in pixels of the source, without its overlap."""
_EARLIER_SHARE = 0.5
"""Share of the earlier results in the average."""
_SAME, _OTHER = 2 / 255, 5 / 255
"""Mean difference of luma around a pixel up to which it counts as the same as in the previous
frame, and from which nothing is averaged."""
_CLEARLY = 0.8
"""Share of the difference that must remain at most for motion to count."""
_AROUND_PX = 7
_LUMA = np.array(LUMA_WEIGHTS, np.float32)

HalfFloats = NDArray[np.float16]


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


@dataclass(frozen=True)
class _Earlier:
    """A tile of the previous frame."""

    picture: HalfFloats
    change: HalfFloats
    """The averaged change that was added to it."""


class Background:
    """Adds the change of the background to frames into which faces have been pasted.

    Frames must come in order. Call `reset` before frames of another video.

    Args:
        correct: Computes the change.
        tile: Side of a tile in pixels of the source, a multiple of 8.
    """

    def __init__(self, correct: PictureCorrector, tile: int = TILE_PX) -> None:
        self._correct = correct
        self._tile = tile
        self._earlier: dict[Hashable, _Earlier] = {}

    def reset(self) -> None:
        """Forget the previous frame."""
        self._earlier.clear()

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
        picture = sample(source, corner, right - left, bottom - top)
        # Lines of the two fields of an interlaced frame lie at different heights.
        place = rows, columns, source.is_second_field
        change = self._steadied(place, picture, self._correct(picture, scale), scale)
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

    def _steadied(
        self, place: Hashable, picture: FloatPicture, change: FloatPicture, scale: int
    ) -> FloatPicture:
        """Average a change with the earlier ones along the motion, in place, and return it."""
        seen, earlier = picture.astype(np.float16), self._earlier.get(place)
        if earlier is not None and earlier.change.shape == change.shape:
            x, y = _motion(earlier.picture, picture)
            moved = _remapped(earlier.picture, x, y) - picture
            share = _EARLIER_SHARE * _likeness(moved)
            if scale > 1:
                size = change.shape[1], change.shape[0]
                x, y = (_scaled_places(way, size, scale) for way in (x, y))
                moved = np.asarray(
                    cv2.resize(moved, size, interpolation=cv2.INTER_CUBIC), np.float32
                )
                share = np.asarray(cv2.resize(share, size), np.float32)
            known = _remapped(earlier.change, x, y)
            change += share[..., None] * (known + moved - change)
        self._earlier[place] = _Earlier(seen, change.astype(np.float16))
        return change


def _motion(before: HalfFloats, now: FloatPicture) -> tuple[FloatPicture, FloatPicture]:
    """Return the columns and rows of the pixels of a picture in the one before.

    On still pictures flow follows the noise. It therefore counts only where it clearly makes the
    pictures more alike.
    """
    one, other = (255 * (picture.astype(np.float32) @ _LUMA) for picture in (before, now))
    motion = motion_between(one, other, "fast")
    rows, columns = np.indices(one.shape, np.float32)
    still, moved = (_mean(np.abs(one - other)), _mean(np.abs(motion.moved(one) - other)))
    counts = motion.trusted & (moved < _CLEARLY * still)
    return np.where(counts, motion.x, columns), np.where(counts, motion.y, rows)


def _scaled_places(places: FloatPicture, size: tuple[int, int], scale: int) -> FloatPicture:
    """Return rows or columns for the enlarged picture of this width and height."""
    enlarged = np.asarray(cv2.resize(places, size), np.float32)
    return scale * (enlarged + 0.5) - 0.5


def _remapped(picture: HalfFloats, x: FloatPicture, y: FloatPicture) -> FloatPicture:
    floats = picture.astype(np.float32)
    done: FloatPicture = cv2.remap(floats, x, y, cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE)
    return done


def _likeness(difference: FloatPicture) -> FloatPicture:
    """Return how much alike two pictures are at each pixel, 0 to 1, given their difference."""
    mean = _mean(np.abs(difference @ _LUMA))
    likeness: FloatPicture = np.clip((_OTHER - mean) / (_OTHER - _SAME), 0, 1)
    return likeness


def _mean(luma: FloatPicture) -> FloatPicture:
    mean: FloatPicture = cv2.blur(luma, (_AROUND_PX, _AROUND_PX))
    return mean


def _samples(span: tuple[int, int], first: int, scale: int, shift: int) -> tuple[slice, int]:
    """Return the samples of a plane in a span of source pixels, and the sample at `first`."""
    low, high = (-(-scale * end >> shift) for end in span)
    return slice(low, high), scale * first >> shift


def _shifts(frame: Frame, component: int) -> tuple[int, int]:
    """Return log2 of the height and the width of luma over those of a component."""
    if component == 0:
        return 0, 0
    return frame.layout.y_shift, frame.layout.x_shift
