"""Super-resolve: four times the pixels from a consistent crop.

The second half of the method: see `networks.superresolver`.
"""

from dataclasses import replace

from crsr_video import geometry
from crsr_video.batches import BatchStage, Images, Predictor
from crsr_video.types import Crop, Face


def super_resolve(predict: Predictor, *, batch: int = 1, lookahead: int = 0) -> BatchStage:
    """The super-resolve stage: fills `Face.enhanced` from `Face.consistent`."""
    return BatchStage(predict, _consistent, _with_enhanced, batch=batch, lookahead=lookahead)


def _consistent(face: Face) -> Crop | None:
    return face.consistent


def _with_enhanced(face: Face, image: Images) -> Face:
    assert face.consistent is not None
    factor = image.shape[-1] / face.consistent.size
    matrix = geometry.compose(geometry.resize_matrix(factor), face.consistent.crop_from_frame)
    return replace(face, enhanced=Crop(image, matrix))
