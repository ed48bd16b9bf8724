"""Split interlaced frames into fields, and weave the fields together again.

The lines of an interlaced frame alternate between two moments. Each field by itself is an ordinary
picture of half the height, so once faces are found they are enhanced field by field, and nothing
gets combed. Pixels that no face touches come back bit for bit.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from crsr_video.imaging.geometry import Matrix, apply, compose
from crsr_video.types import Face, Frame, Patch, Plane, TrackedFrame

_LEAST_ROWS = 4
"""Minimum number of rows in the smallest plane. A smaller frame holds no face and is not split."""


def split(item: TrackedFrame) -> tuple[TrackedFrame, ...]:
    """Return the two fields of an interlaced frame in order of time, or any other frame unchanged.

    The faces were found in the whole frame, and both fields get the same ones. A pixel of a field
    is twice as high as a pixel of the frame. In 4:2:0 video, the chroma of a field lies a quarter
    of a line away from its place in a progressive frame. This is not corrected.
    """
    frame = item.frame
    rows = min(len(plane) for plane in frame.components)
    if frame.interlaced == "progressive" or frame.height % 2 or rows < _LEAST_ROWS:
        return (item,)
    first = int(frame.interlaced == "bottom")
    return _field(item, first, False), _field(item, 1 - first, True)


def _field(item: TrackedFrame, parity: int, second: bool) -> TrackedFrame:
    frame = replace(
        item.frame,
        components=tuple(plane[parity::2] for plane in item.frame.components),
        sample_aspect=item.frame.sample_aspect / 2,
        interlaced_frame=item.frame,
        is_second_field=second,
    )
    faces = tuple(_moved(face, _field_from_frame(parity)) for face in item.faces)
    return TrackedFrame(frame, faces, item.cut and not second)


def _field_from_frame(parity: int) -> Matrix:
    """Return the transform that maps line 2 y + parity of the frame to line y of the field."""
    return np.array([[1.0, 0.0, 0.0], [0.0, 0.5, -parity / 2]])


def _moved(face: Face, matrix: Matrix) -> Face:
    (x0, y0), (x1, y1) = apply(matrix, np.reshape(face.box, (2, 2)))
    box = (float(x0), float(y0), float(x1), float(y1))
    return replace(face, landmarks=apply(matrix, face.landmarks), box=box)


class Weaver:
    """Weaves the two fields from `split` into one frame again. Other frames pass unchanged."""

    def __init__(self) -> None:
        self._waiting: Frame | None = None

    def push(self, frame: Frame) -> list[Frame]:
        """Take a frame or a field. Return the finished frame, or nothing after a first field."""
        if frame.interlaced_frame is None:
            return [frame]
        if not frame.is_second_field:
            self._waiting = frame
            return []
        assert self._waiting is not None
        pair, self._waiting = (self._waiting, frame), None
        return [_woven(frame.interlaced_frame, pair)]

    def reset(self) -> None:
        """Discard a first field whose second field has not arrived yet."""
        self._waiting = None


def _woven(whole: Frame, pair: Sequence[Frame]) -> Frame:
    if not any(field.edited for field in pair):
        return whole
    top, bottom = pair if whole.interlaced == "top" else pair[::-1]
    planes = tuple(map(_interleaved, top.components, bottom.components))
    patches = [*_patches(top, 0), *_patches(bottom, 1)]
    return replace(whole.with_components(planes), changed=tuple(patches))


def _interleaved(top: Plane, bottom: Plane) -> Plane:
    plane: Plane = np.empty((len(top) + len(bottom), top.shape[1]), top.dtype)
    plane[0::2], plane[1::2] = top, bottom
    return plane


def _patches(field: Frame, parity: int) -> list[Patch]:
    """Return the patches of a field in the coordinates of the interlaced frame."""
    result = []
    for patch in field.changed:
        x0, y0, x1, y1 = patch.box
        matrix = compose(patch.crop_from_frame, _field_from_frame(parity))
        box = (x0, 2 * y0 + parity, x1, 2 * y1 - 1 + parity)
        result.append(replace(patch, box=box, crop_from_frame=matrix))
    return result
