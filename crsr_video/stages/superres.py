"""Super-resolve: four times the pixels from a consistent crop.

The second half of the method: see `networks.superresolver`. What the networks answer for is
detail; the colour and the light of a face stay the frame's own.
"""

from dataclasses import replace

import cv2
import numpy as np

from crsr_video.imaging import geometry
from crsr_video.runtime.batches import BatchStage, Images, Predictor
from crsr_video.types import Crop, Face

TINT_CELLS = 8
"""To a side of the crop: what varies more slowly than this is tint, not detail."""


def super_resolve(predict: Predictor, *, batch: int = 1, lookahead: int = 0) -> BatchStage:
    """The super-resolve stage: fills `Face.enhanced` from `Face.consistent`."""
    return BatchStage(predict, _consistent, _with_enhanced, batch=batch, lookahead=lookahead)


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
