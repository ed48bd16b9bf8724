"""Super-resolve: four times the pixels from a consistent crop.

The second half of the method: see `networks.superresolver`. What the networks answer for is
detail; the colour and the light of a face stay the frame's own.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from crsr_video.imaging import geometry
from crsr_video.runtime.batches import (
    BatchStage,
    Images,
    Predictor,
    Recollection,
    RecurrentPredictor,
)
from crsr_video.types import Crop, Face, TrackedFrame

TINT_CELLS = 8
"""To a side of the crop: what varies more slowly than this is tint, not detail."""


def super_resolve(predict: Predictor, *, batch: int = 1, lookahead: int = 0) -> BatchStage:
    """The super-resolve stage: fills `Face.enhanced` from `Face.consistent`."""
    return BatchStage(predict, _consistent, _with_enhanced, batch=batch, lookahead=lookahead)


_Key = tuple[int, int]
"""Track, and size of the crop: a face that changes its tier begins anew."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a face was and became in the frame before."""

    crop: Images
    picture: Images
    recollection: Recollection


class RecurrentStage:
    """The super-resolve stage with memory: each face is helped by its own previous frame.

    Causal, no lookahead. Frames go one by one, all faces of one size together.
    """

    lookahead = 0

    def __init__(self, predict: RecurrentPredictor) -> None:
        self._predict = predict
        self._before: dict[_Key, _Seen] = {}

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Fill `Face.enhanced` of one frame."""
        if item.cut:
            self.reset()
        kept: dict[_Key, _Seen] = {}
        faces = list(item.faces)
        sizes = {face.consistent.size for face in faces if face.consistent is not None}
        for size in sorted(sizes):
            self._run(faces, size, kept)
        # What was not seen in this frame is forgotten: its next crop may show anything.
        self._before = kept
        return [replace(item, faces=tuple(faces))]

    def flush(self) -> list[TrackedFrame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """Forget all faces."""
        self._before = {}

    def _run(self, faces: list[Face], size: int, kept: dict[_Key, _Seen]) -> None:
        """Replace the faces of one size, and note what to remember."""
        indices = [i for i, f in enumerate(faces) if f.consistent and f.consistent.size == size]
        moved = [i for i in indices if not self._rests(faces[i])]
        kept.update(
            {_key(faces[i]): self._before[_key(faces[i])] for i in indices if i not in moved}
        )
        if moved:
            self._predict_faces([faces[i] for i in moved], kept)
        for i in indices:
            faces[i] = _with_enhanced(faces[i], kept[_key(faces[i])].picture)

    def _rests(self, face: Face) -> bool:
        """Whether a face shows just what it did: then its result stays, to the bit."""
        before = self._before.get(_key(face))
        return before is not None and np.array_equal(before.crop, _crop(face).image)

    def _predict_faces(self, faces: list[Face], kept: dict[_Key, _Seen]) -> None:
        before = [self._before.get(_key(face)) for face in faces]
        pictures, recollections = self._predict(
            np.stack([face.consistent.image for face in faces if face.consistent]),
            np.stack([_crop(face).image for face in faces]),
            [seen.recollection if seen else None for seen in before],
        )
        for face, picture, recollection in zip(faces, pictures, recollections, strict=True):
            kept[_key(face)] = _Seen(_crop(face).image, picture, recollection)


def _key(face: Face) -> _Key:
    return face.track, _crop(face).size


def _crop(face: Face) -> Crop:
    assert face.crop is not None
    return face.crop


def _consistent(face: Face) -> Crop | None:
    return face.consistent


def _with_enhanced(face: Face, image: Images) -> Face:
    assert face.crop is not None
    factor = image.shape[-1] / face.crop.size
    matrix = geometry.compose(geometry.resize_matrix(factor), face.crop.crop_from_frame)
    return replace(face, enhanced=Crop(without_tint(image, face.crop.image), matrix))


def without_tint(image: Images, seen: Images) -> Images:
    """A picture with its slowest variations made those of another, smaller one.

    Args: image: (3, S, S). seen: (3, s, s).
    """
    result = np.empty(image.shape, np.float32)
    size = image.shape[:0:-1]
    # One channel at a time, as they lie in memory.
    for large, small, plain in zip(image, seen, result, strict=True):
        enlarged = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
        added = cv2.subtract(large, enlarged, dst=enlarged)
        coarse = cv2.resize(added, (TINT_CELLS,) * 2, interpolation=cv2.INTER_AREA)
        tint = cv2.resize(coarse, size, dst=enlarged, interpolation=cv2.INTER_LINEAR)
        cv2.subtract(large, tint, dst=plain)
    return result
