"""Super-resolve: make four times the pixels of a consistent crop.

This is the second half of the method, see `networks.superresolver`. The networks add detail; the
colour and the light of a face stay the frame's own.
"""

from collections.abc import Sequence
from dataclasses import replace

from crsr_video.imaging.geometry import enlarged_crop_matrix
from crsr_video.imaging.operations import Operations, Pictures
from crsr_video.stages.networks import NetworkStage
from crsr_video.types import Crop, Face

_TINT_CELLS = 8
"""Cells per side of the crop: what varies more slowly than this is tint, not detail."""


class SuperResolveStage(NetworkStage):
    """Fills `Face.enhanced` from `Face.consistent`."""

    def input_crop(self, face: Face) -> Crop | None:
        """Return the consistent crop, if the face has one."""
        return face.consistent

    def with_results(self, faces: Sequence[Face], results: Pictures) -> list[Face]:
        """Return the faces with the results, which have the tint of their crops."""
        crops = [face.crop for face in faces if face.crop is not None]
        seen = self._operations.stack([crop.image for crop in crops])
        pictures = without_tint(results, seen, self._operations)
        done = []
        for face, crop, picture in zip(faces, crops, pictures, strict=True):
            factor = picture.shape[-1] // crop.size
            matrix = enlarged_crop_matrix(crop.crop_from_frame, factor)
            enhanced = Crop(picture, matrix, factor * crop.headroom)
            done.append(replace(face, enhanced=enhanced))
        return done


def without_tint(pictures: Pictures, seen: Pictures, operations: Operations) -> Pictures:
    """Replace the slowest variations of pictures by those of other, smaller ones.

    Args:
        pictures: (N, 3, S, S).
        seen: (N, 3, s, s).
        operations: Where the pictures are.
    """
    side = pictures.shape[-1]
    enlarged = operations.resize(seen, side, "cubic")
    coarse = operations.resize(operations.subtract_into(pictures, enlarged), _TINT_CELLS, "area")
    del enlarged  # Its memory is used again.
    return operations.subtract_into(pictures, operations.resize(coarse, side, "linear"))
