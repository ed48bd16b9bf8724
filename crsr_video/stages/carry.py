"""Carry: what the networks did for a face goes on with it, in frames for which they had no time.

Only in live enhancement, between back-off and paste. What was added to a face's crop is added to
its present crop too, wherever both show the same thing; where the face moves within its crop (a
blink, a word), nothing is added rather than something wrong.
"""

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging import geometry
from crsr_video.stages.effort import NO_TIME, Demand, Effort
from crsr_video.types import Crop, Face, TrackedFrame

FloatPicture = NDArray[np.float32]
Picture = TypeVar("Picture")

TOLERANCE = 0.09
"""Difference of two crops, 1 being white, at which a share of 1/e is carried. Twice that of
`smooth`: these crops still have their noise."""
_TYPICAL_TIER = 64
"""Side of the crop of a face that was not looked at."""
_LONGEST = 8
"""Frames for which a change is carried at most."""


@dataclass(slots=True)
class Change(Generic[Picture]):
    """What was added to a face."""

    crop: Picture
    """(S, S, 3) that it was added to."""
    added: Picture
    """(T, T, 3)."""
    age: int = 0


class Carrier:
    """The stage; no lookahead.

    Args: effort: is told what the faces in view would ask for.
    """

    lookahead = 0

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._tracks: dict[int, Change[Any]] = {}

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """The frame, with a picture for every face that had one lately."""
        if item.cut:
            self.reset()
        kept: dict[int, Change[Any]] = {}
        faces = tuple(self._carried(face, kept) for face in item.faces)
        self._tracks = kept
        self._effort.demand = Demand(tuple(_tier(face) for face in faces if _wanted(face)))
        return [replace(item, faces=faces)]

    def flush(self) -> list[TrackedFrame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """Forget all faces."""
        self._tracks.clear()

    def _carried(self, face: Face, kept: dict[int, Change[Any]]) -> Face:
        if face.crop is None or face.skipped is not None:
            return face
        if face.enhanced is not None:
            kept[face.track] = self.change(face)
            return face
        before = self._tracks.get(face.track)
        if before is None or before.age >= _LONGEST:
            return face
        before.age += 1
        kept[face.track] = before
        return self.with_change(face, before)

    def change(self, face: Face) -> Change[Any]:
        """What the networks have added to an enhanced face."""
        return _change(face)

    def with_change(self, face: Face, before: Change[Any]) -> Face:
        """A face that was not enhanced, with what was added to it before."""
        return _with_change(face, before)


def _wanted(face: Face) -> bool:
    return face.crop is not None or face.skipped == NO_TIME


def _tier(face: Face) -> int:
    return face.tier or _TYPICAL_TIER


def _change(face: Face) -> Change[FloatPicture]:
    assert face.crop is not None
    assert face.enhanced is not None
    small = face.crop.image.transpose(1, 2, 0)
    added = face.enhanced.image.transpose(1, 2, 0) - _enlarged(small, face.enhanced.size)
    return Change(small, added)


def _with_change(face: Face, before: Change[FloatPicture]) -> Face:
    assert face.crop is not None
    small, size = face.crop.image.transpose(1, 2, 0), before.added.shape[0]
    picture = _enlarged(small, size) + _agreement(small, before.crop, size) * before.added
    factor = size / face.crop.size
    matrix = geometry.compose(geometry.resize_matrix(factor), face.crop.crop_from_frame)
    planar = np.ascontiguousarray(picture.transpose(2, 0, 1))
    return replace(face, enhanced=Crop(planar, matrix))


def _enlarged(small: FloatPicture, size: int) -> FloatPicture:
    """As paste enlarges a crop, so that what is carried is just what paste would add."""
    large: FloatPicture = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
    return large


def _agreement(now: FloatPicture, then: FloatPicture, size: int) -> FloatPicture:
    """Share of a change that still holds, (size, size, 1) in [0, 1]."""
    if now.shape != then.shape:
        then = cv2.resize(then, now.shape[1::-1], interpolation=cv2.INTER_AREA)
    difference = np.abs(now - then).max(2)
    difference = cv2.blur(difference, (3, 3), borderType=cv2.BORDER_REPLICATE)
    share = np.exp(-((difference / TOLERANCE) ** 2), dtype=np.float32)
    spread: FloatPicture = cv2.resize(share, (size, size), interpolation=cv2.INTER_LINEAR)
    return spread[..., None]
