"""Super-resolve: four times the pixels from a consistent crop.

The second half of the method: see `networks.superresolver`. What the networks answer for is
detail; the colour and the light of a face stay the frame's own.
"""

from dataclasses import replace

import cv2
import numpy as np

from crsr_video import geometry
from crsr_video.batches import BatchStage, Images, Predictor, Recollection, RecurrentPredictor
from crsr_video.types import Crop, Face, TrackedFrame

_TINT_CELLS = 8
"""To a side of the crop: what varies more slowly than this is tint, not detail."""


def super_resolve(predict: Predictor, *, batch: int = 1, lookahead: int = 0) -> BatchStage:
    """The super-resolve stage: fills `Face.enhanced` from `Face.consistent`."""
    return BatchStage(predict, _consistent, _with_enhanced, batch=batch, lookahead=lookahead)


class RecurrentStage:
    """The super-resolve stage with memory: each face is helped by its own previous frame.

    Causal, no lookahead. Frames go one by one, all faces of one size together.
    """

    lookahead = 0

    def __init__(self, predict: RecurrentPredictor) -> None:
        self._predict = predict
        self._before: dict[tuple[int, int], Recollection] = {}
        """By track and size of the crop: a face that changes its tier begins anew."""

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Fill `Face.enhanced` of one frame."""
        if item.cut:
            self.reset()
        kept: dict[tuple[int, int], Recollection] = {}
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

    def _run(self, faces: list[Face], size: int, kept: dict[tuple[int, int], Recollection]) -> None:
        """Replace the faces of one size, and note what to remember."""
        chosen = [
            (index, face.consistent.image, face.crop.image)
            for index, face in enumerate(faces)
            if face.crop and face.consistent and face.consistent.size == size
        ]
        keys = [(faces[index].track, size) for index, _, _ in chosen]
        pictures, recollections = self._predict(
            np.stack([image for _, image, _ in chosen]),
            np.stack([seen for _, _, seen in chosen]),
            [self._before.get(key) for key in keys],
        )
        kept.update(zip(keys, recollections, strict=True))
        for (index, _, _), picture in zip(chosen, pictures, strict=True):
            faces[index] = _with_enhanced(faces[index], picture)


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
    large, small = image.transpose(1, 2, 0), seen.transpose(1, 2, 0)
    size = large.shape[:2]
    added = large - cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
    coarse = cv2.resize(added, (_TINT_CELLS, _TINT_CELLS), interpolation=cv2.INTER_AREA)
    tint = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray((large - tint).transpose(2, 0, 1))
