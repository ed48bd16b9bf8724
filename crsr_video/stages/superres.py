"""Enlarge consistent crops by super-resolution.

This is the second half of the method (see `networks.superresolver`). The networks add only detail.
A face keeps the colour and the brightness that it has in the frame.
"""

from collections.abc import Sequence
from dataclasses import replace

from crsr_video.imaging.geometry import enlarged_crop_matrix
from crsr_video.imaging.operations import Operations, Pictures
from crsr_video.stages.networks import NetworkStage
from crsr_video.types import Crop, Face

_TINT_CELLS = 8
"""Cells per side of the crop. Variations that are slower than a cell are tint, not detail."""


class SuperResolveStage(NetworkStage):
    """Fills `Face.enhanced` from `Face.consistent`."""

    def input_crop(self, face: Face) -> Crop | None:
        """Return the consistent crop, if the face has one."""
        return face.consistent

    def with_results(self, faces: Sequence[Face], results: Pictures) -> list[Face]:
        """Return the faces with the results, which have the tint of their crops."""
        crops = [face.crop for face in faces if face.crop is not None]
        factor = results.shape[-1] // crops[0].size
        enlargements = [min(factor, face.enlargement) for face in faces]
        done = list(faces)
        for enlargement in {*enlargements}:
            chosen = [index for index, found in enumerate(enlargements) if found == enlargement]
            side = enlargement * crops[0].size
            made = results if len(chosen) == len(faces) else results[chosen]
            seen = self._operations.stack([crops[index].image for index in chosen])
            pictures = without_tint(made, seen, self._operations, side)
            for index, picture in zip(chosen, pictures, strict=True):
                crop = crops[index]
                matrix = enlarged_crop_matrix(crop.crop_from_frame, enlargement)
                enhanced = Crop(picture, matrix, enlargement * crop.headroom)
                done[index] = replace(faces[index], enhanced=enhanced)
        return done


def without_tint(
    pictures: Pictures, seen: Pictures, operations: Operations, side: int | None = None
) -> Pictures:
    """Replace the tint of pictures, which is their slow variations, by that of smaller pictures.

    Args:
        pictures: (N, 3, S, S).
        seen: The smaller pictures, (N, 3, s, s).
        operations: Picture operations, on the device of the pictures.
        side: Side of the result, S by default. If it is less than S, the difference between
            `pictures` and the enlarged `seen` is shrunk to it.
    """
    large = pictures.shape[-1]
    enlarged = operations.resize(seen, large, "cubic")
    added = operations.subtract_into(pictures, enlarged)
    if side is None or side == large:
        coarse = operations.resize(added, _TINT_CELLS, "area")
        del enlarged, added  # The next pictures can then reuse their memory.
        return operations.subtract_into(pictures, operations.resize(coarse, large, "linear"))
    # For a part of an octave, the mean of an area would take five times as long.
    added = operations.resize(added, side, "area" if 2 * side <= large else "cubic")
    coarse = operations.resize(added, _TINT_CELLS, "area")
    detail = operations.subtract_into(added, operations.resize(coarse, side, "linear"))
    return operations.resize(seen, side, "cubic") + detail
