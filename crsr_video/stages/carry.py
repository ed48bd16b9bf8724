"""Carry: keep what the networks added to a face in frames for which they had no time.

This stage runs only in live enhancement, between back-off and paste. The change that the networks
made to an earlier crop of a face is added to its present crop too, wherever both crops show the
same thing. Where the face moves within its crop (a blink, a word), nothing is added, because the
earlier change would be wrong there.
"""

from dataclasses import dataclass, replace
from typing import Any

from crsr_video.imaging.geometry import enlarged_crop_matrix
from crsr_video.imaging.likeness import agreement, difference
from crsr_video.imaging.operations import Operations
from crsr_video.stages.base import Stage
from crsr_video.stages.quality import NO_TIME, Demand, LiveQuality
from crsr_video.types import Crop, Face, TrackedFrame

_TOLERANCE = 0.09
"""Difference between two crops (white is 1) at which the carried share falls to 1/e. It is twice
the tolerance of `smooth`, because these crops still contain their noise."""
_TYPICAL_CROP = 64
"""Assumed side in pixels of the crop of a face that was not aligned."""
_MOST_FRAMES = 8
"""Largest number of frames to which one change is carried."""


@dataclass(slots=True)
class _Change:
    """Change that the networks made to a face."""

    crop: Any
    """(1, 3, S, S): the crop that the change was added to."""
    added: Any
    """(1, 3, f * S, f * S): the change, for networks that enlarge a crop by a factor f."""
    age: int = 0
    """Number of frames to which the change has been carried."""


class Carrier(Stage[TrackedFrame, TrackedFrame]):
    """Applies the change of an earlier frame to faces that the networks did not see.

    Args:
        operations: Picture operations, on the processor or a GPU.
        quality: Quality of the live run. This stage sets its demand to the crop sizes that the
            faces in view would need.
    """

    def __init__(self, operations: Operations, quality: LiveQuality) -> None:
        self._operations = operations
        self._quality = quality
        self._tracks: dict[int, _Change] = {}

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Return the frame, with an enhanced crop for every face that was enhanced recently."""
        if item.cut:
            self.reset()
        kept: dict[int, _Change] = {}
        faces = tuple(self._carried(face, kept) for face in item.faces)
        self._tracks = kept
        wanted = [face for face in faces if face.crop is not None or face.skipped == NO_TIME]
        self._quality.demand = Demand(tuple(face.ideal_crop or _TYPICAL_CROP for face in wanted))
        return [replace(item, faces=faces)]

    def reset(self) -> None:
        """Forget all faces."""
        self._tracks.clear()

    def _carried(self, face: Face, kept: dict[int, _Change]) -> Face:
        if face.crop is None or face.skipped is not None:
            return face
        if face.enhanced is not None:
            kept[face.track] = self._change(face.crop, face.enhanced)
            return face
        before = self._tracks.get(face.track)
        if before is None or before.age >= _MOST_FRAMES or before.added.shape[-1] % face.crop.size:
            return face
        before.age += 1
        kept[face.track] = before
        return replace(face, enhanced=self._with_change(face.crop, before))

    def _change(self, crop: Crop, enhanced: Crop) -> _Change:
        small, large = (self._operations.stack([c.image]) for c in (crop, enhanced))
        return _Change(small, large - self._operations.resize(small, enhanced.size, "cubic"))

    def _with_change(self, crop: Crop, before: _Change) -> Crop:
        small, side = self._operations.stack([crop.image]), before.added.shape[-1]
        then = before.crop
        if then.shape != small.shape:
            then = self._operations.resize(then, crop.size, "area")
        found = difference(small, then, self._operations)
        share = self._operations.resize(
            agreement(found, _TOLERANCE, self._operations), side, "linear"
        )
        picture = self._operations.resize(small, side, "cubic") + share * before.added
        factor = side // crop.size
        matrix = enlarged_crop_matrix(crop.crop_from_frame, factor)
        return Crop(picture[0], matrix, factor * crop.headroom)
