"""Paste: bring the enhanced face back, as a masked change in the frame's own planes.

What is added is a difference: enhanced picture minus what the frame shows there. Where the mask
is zero nothing is touched, bit for bit; an identity network changes nothing anywhere.

All of it happens in code values and on the planes' own samples, so a face costs what its place in
the frame is large, and the frame is never resampled.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import codes_from_rgb, rgb_from_codes
from crsr_video.imaging.geometry import Matrix, compose, invert, resize_matrix, scale_of
from crsr_video.imaging.masks import face_mask, patch
from crsr_video.imaging.resampling import plane_from_frame
from crsr_video.imaging.upscaling import enlarge
from crsr_video.imaging.warping import antialias_kernel, warp
from crsr_video.types import Crop, Face, Frame, Patch, PixelLayout, Plane, TrackedFrame, Upscaler

FloatPicture = NDArray[np.float32]

NEIGHBOURHOODS = 32
"""To a side of the crop: how locally detail is compared (a Gaussian of this deviation)."""

FAINT = 1e-4
"""Power, in code values, of detail that is none."""

_MARGIN = 4
"""Pixels of the crop around the mask that are looked at too: twice what filters may reach."""

_CHANNELS = 4
"""That OpenCV's filters take at once."""


class Paster:
    """The paste stage; no lookahead.

    Args: strength: share of the correction that is applied, 0 to 1.
          scale: enlargement of the whole frame, 1, 2 or 4.
          upscaler: of the background, where the frame is enlarged; see `upscaling`.
    """

    lookahead = 0

    def __init__(
        self, strength: float = 1.0, scale: int = 1, upscaler: str | Upscaler = "lanczos"
    ) -> None:
        self._strength = strength
        self._scale = scale
        self._upscaler = upscaler

    def push(self, item: TrackedFrame) -> list[Frame]:
        """The finished frame."""
        frame = enlarge(item.frame, self._scale, self._upscaler)
        faces = [face for face in item.faces if self._weight(face) > 0]
        if not faces:
            return [frame]
        planes = tuple(plane.copy() for plane in frame.components)
        pasted = frame.with_components(planes)
        patches = tuple(self._paste(pasted, face) for face in faces)
        return [replace(pasted, changed=patches)]

    def flush(self) -> list[Frame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """Nothing is remembered."""

    def _weight(self, face: Face) -> float:
        if face.enhanced is None or face.skipped is not None:
            return 0.0
        return self._strength * face.strength * face.presence

    def _paste(self, frame: Frame, face: Face) -> Patch:
        """Change the planes of `frame`, which are this stage's own copies; returns where."""
        assert face.enhanced is not None
        crop_from_frame = compose(face.enhanced.crop_from_frame, resize_matrix(1 / self._scale))
        weight = self._weight(face)
        place = patch(face.track, frame, crop_from_frame, face.enhanced.size, weight)
        _add(frame, face, crop_from_frame, place)
        return place


def _add(frame: Frame, face: Face, crop_from_frame: Matrix, place: Patch) -> None:
    """Change the frame's planes in place, and nothing beyond the box of `place`."""
    assert face.crop is not None
    assert face.enhanced is not None
    layout, size = frame.layout, face.enhanced.size
    rows, columns = masked(size)
    large = cv2.resize(_codes(face.crop, layout), (size, size), interpolation=cv2.INTER_CUBIC)
    large = large[rows, columns]
    added = cv2.split(_codes(face.enhanced, layout, rows, columns) - large)
    seen, black = cv2.split(large), rgb_from_codes(layout)[1]
    mask = np.float32(place.weight) * face_mask(size)[rows, columns]
    frame_from_part = compose(
        invert(crop_from_frame), [[1.0, 0.0, columns.start], [0.0, 1.0, rows.start]]
    )
    missing: FloatPicture | None = None
    for group in layout.grids:
        where = samples(layout, group[0], place.box)
        planes = [frame.components[i][where] for i in group]
        if planes[0].size == 0:
            return
        plane_from_part = compose(plane_from_frame(layout, group[0]), frame_from_part)
        here = compose([[1.0, 0.0, -where[1].start], [0.0, 1.0, -where[0].start]], plane_from_part)
        scale = scale_of(here)
        layers = [mask, *(added[i] for i in group)]
        if missing is None or face.detail > 0:
            layers += [seen[i] for i in group]
        share, *moved = _moved(layers, here, planes[0].shape)
        share = cv2.max(share, 0.0)  # Kernels ring.
        news, olds = moved[: len(group)], moved[len(group) :]
        # What of each plane lies beyond the crop, as far as the enhanced picture's band reaches.
        owns = [_within(planes[k] - (old + black[group[k]]), scale) for k, old in enumerate(olds)]
        if missing is None:
            cell = scale * size / NEIGHBOURHOODS
            missing = 1.0 - (1.0 - face.detail) * _present(_mean(owns), _mean(news), cell)
        for plane, new, own in zip_longest(planes, news, owns):
            change = _change(new, own, missing, face.detail)
            _write(plane, cv2.multiply(share, change, dst=change), 2**layout.bits - 1)


@lru_cache(maxsize=8)
def masked(size: int) -> tuple[slice, slice]:
    """Rows and columns of a crop in which its mask lies, and a few more."""
    mask = face_mask(size)
    # Down the rows, then across the columns: where it begins, and where it ends.
    shown = [np.flatnonzero(mask.max(axis)) for axis in (1, 0)]
    rows, columns = (
        slice(max(0, int(at[0]) - _MARGIN), min(size, int(at[-1]) + _MARGIN + 1)) for at in shown
    )
    return rows, columns


def _codes(
    crop: Crop, layout: PixelLayout, rows: slice = slice(None), columns: slice = slice(None)
) -> FloatPicture:
    """A part of a crop in code values, less those of black; (H, W, C)."""
    # No matrix product of numpy's: its threads would spin for long after.
    picture = cv2.merge([plane[rows, columns] for plane in crop.image])
    codes: FloatPicture = cv2.transform(picture, codes_from_rgb(layout))
    return codes


def samples(
    layout: PixelLayout, component: int, box: tuple[int, int, int, int]
) -> tuple[slice, slice]:
    """Rows and columns of the samples of a component that lie in a box of the frame."""
    x, y = (layout.x_shift, layout.y_shift) if component else (0, 0)
    x0, y0, x1, y1 = box
    return slice(-(-y0 >> y), -(-y1 >> y)), slice(-(-x0 >> x), -(-x1 >> x))


def _moved(
    layers: Sequence[FloatPicture], target_from_part: Matrix, shape: tuple[int, ...]
) -> Sequence[FloatPicture]:
    """Pictures of one crop, resampled as many at once as OpenCV can."""
    # A rim, since shrinking averages over the edge, and the mask is to be zero beyond.
    rim = 2 * int(np.ceil(2 / min(1.0, scale_of(target_from_part))))
    target_from_framed = compose(target_from_part, [[1.0, 0.0, -rim], [0.0, 1.0, -rim]])
    moved: list[FloatPicture] = []
    for first in range(0, len(layers), _CHANNELS):
        stack = cv2.merge(layers[first : first + _CHANNELS])
        framed = cv2.copyMakeBorder(stack, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
        moved += cv2.split(warp(framed, target_from_framed, shape[1], shape[0]))
    return moved


def _within(own: FloatPicture, scale: float) -> FloatPicture:
    """A plane's part in the band of a picture that is `1 / scale` as large."""
    if scale <= 1:
        return own
    kernel = antialias_kernel(1 / scale)
    coarse: FloatPicture = cv2.sepFilter2D(own, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return coarse


def _mean(pictures: Sequence[FloatPicture]) -> FloatPicture:
    mean: FloatPicture = pictures[0] if len(pictures) == 1 else np.mean(pictures, 0)
    return mean


def _change(
    added: FloatPicture, own: FloatPicture | None, missing: FloatPicture, detail: float
) -> FloatPicture:
    """What to add to one component of what the frame shows.

    The networks saw the crop; its bicubic enlargement is the part of the frame that they answer
    for. To that they add detail. The frame may have detail of its own beyond the crop's band: as
    far as that is noise (`Face.detail`) it goes, and as far as it is what the networks found
    too, theirs is not added once more.
    Args: missing: share of what was added that goes in, of any size.
    """
    height, width = added.shape
    spread = cv2.resize(missing, (width, height), interpolation=cv2.INTER_LINEAR)
    change: FloatPicture = cv2.multiply(spread, added, dst=spread)
    return change if own is None else cv2.scaleAdd(own, -detail, change)


def _present(own: FloatPicture, added: FloatPicture, cell: float) -> FloatPicture:
    """How much of the added detail is there already, in [0, 1], coarsely.

    Locally, the least-squares factor by which `added` explains `own`.
    Args: cell: pixels to a cell of the result.
    """
    shared, power = _around(own * added, cell), _around(added * added, cell)
    share: FloatPicture = np.clip(shared / (power + FAINT), 0.0, 1.0)
    return share


def _around(picture: FloatPicture, cell: float) -> FloatPicture:
    """Local means on a coarse grid."""
    height, width = (max(1, round(side / cell)) for side in picture.shape)
    coarse = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    means: FloatPicture = cv2.GaussianBlur(coarse, (0, 0), 1.0)
    return means


def _write(plane: Plane, change: FloatPicture, top: int) -> None:
    """Add to a plane in place, rounded once at its own depth and clipped to legal memory."""
    depth = cv2.CV_8U if plane.itemsize == 1 else cv2.CV_16U
    changed = cv2.add(np.ascontiguousarray(plane), change, dtype=depth)
    plane[...] = np.minimum(changed, top)
