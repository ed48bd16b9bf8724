"""Head detail: keeps the detail around a face in frames of which the networks see the face only.

Hair changes less from frame to frame than eyes and mouths do. The networks therefore process the
whole head only every few frames (see `HeadMask.is_fresh`). In the frames between, this stage adds
the earlier change around the face, wherever the crops of both frames show the same thing.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.likeness import agreement, difference
from crsr_video.imaging.masks import face_mask
from crsr_video.imaging.operations import Operations, Pictures
from crsr_video.stages.base import Stage
from crsr_video.types import Crop, Face, TrackedFrame

_TOLERANCE = 0.09
"""Difference between two crops, where 1 is white, at which 1/e of the change is carried over."""


@dataclass(frozen=True, slots=True)
class _Change:
    """The change that the networks made to a whole head."""

    crop: Pictures
    """(1, 3, S, S): the input crop."""
    consistent: Pictures
    """(1, 3, S, S): the change of the consistifier."""
    enhanced: Pictures
    """(1, 3, f * S, f * S): the change of both networks together."""


class HeadDetail(Stage[TrackedFrame, TrackedFrame]):
    """Completes `Face.consistent` and `Face.enhanced` of heads that are not fresh.

    Args:
        operations: Operations on the device that holds the pictures.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._changes: dict[int, _Change] = {}

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Return the frame with whole heads."""
        if item.cut:
            self.reset()
        before, self._changes = self._changes, {}
        faces = []
        for face in item.faces:
            change = before.get(face.track)
            if face.head is not None and face.crop is not None:
                if face.consistent is not None and face.enhanced is not None:
                    if face.head.is_fresh:
                        change = self._change(face.crop, face.consistent, face.enhanced)
                    elif change is not None and change.crop.shape[-1] == face.crop.size:
                        face = self._completed(face, change)
                if change is not None:
                    self._changes[face.track] = change
            faces.append(face)
        return [replace(item, faces=tuple(faces))]

    def reset(self) -> None:
        """Forget all heads."""
        self._changes.clear()

    def _change(self, crop: Crop, consistent: Crop, enhanced: Crop) -> _Change:
        small, middle, large = (
            self._operations.stack([one.image]) for one in (crop, consistent, enhanced)
        )
        enlarged = self._operations.resize(small, enhanced.size, "cubic")
        return _Change(small, middle - small, large - enlarged)

    def _completed(self, face: Face, change: _Change) -> Face:
        """Return the face, with the earlier change added around it."""
        assert face.crop is not None
        assert face.consistent is not None
        assert face.enhanced is not None
        operations = self._operations
        small = operations.stack([face.crop.image])
        share = agreement(difference(small, change.crop, operations), _TOLERANCE, operations)
        around = operations.add_product(1.0 * small, change.consistent, share)
        large = operations.resize(small, face.enhanced.size, "cubic")
        share = operations.resize(share, face.enhanced.size, "linear")
        added = change.enhanced
        if added.shape[-1] != face.enhanced.size:
            added = operations.resize(added, face.enhanced.size, "cubic")
        around_enhanced = operations.add_product(large, added, share)
        return replace(
            face,
            consistent=self._with_face(face.consistent, around),
            enhanced=self._with_face(face.enhanced, around_enhanced),
        )

    def _with_face(self, crop: Crop, around: Pictures) -> Crop:
        """Return a crop with another picture around its face."""
        inside = self._operations.constant(_face_in_crop, crop.size, crop.headroom)
        own = self._operations.stack([crop.image])
        picture = self._operations.add_product(around, own - around, inside)
        return replace(crop, image=picture[0])


def _face_in_crop(size: int, headroom: int) -> NDArray[np.float32]:
    """Return the inner half of the face's mask in a crop with headroom, (1, 1, size, size).

    The outer half lies near the edge of the networks' input, where their results are less good.
    """
    left = headroom // 2
    inner = (2 * face_mask(size - headroom) - 1).clip(0)
    return np.pad(inner, ((headroom, 0), (left, left)))[None, None]
