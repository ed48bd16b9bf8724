"""Consistify: make a genuine low-resolution crop look like a shrunken perfect picture.

The first half of the method: see `networks.consistifier`.
"""

from dataclasses import replace

import numpy as np

from crsr_video.runtime.batches import BatchStage, Images, Predictor
from crsr_video.types import Crop, Face


def consistify(predict: Predictor, *, batch: int = 1, lookahead: int = 0) -> BatchStage:
    """The consistify stage: fills `Face.consistent` from `Face.crop`."""
    return BatchStage(predict, _crop, _with_consistent, batch=batch, lookahead=lookahead)


def _crop(face: Face) -> Crop | None:
    return face.crop if face.fresh else None


def _with_consistent(face: Face, image: Images) -> Face:
    assert face.crop is not None
    legal = np.clip(image, 0.0, 1.0)
    return replace(face, consistent=Crop(legal, face.crop.crop_from_frame))
