"""Consistify: make a genuine low-resolution crop look like a downscaled perfect picture.

This is the first half of the method, see `networks.consistifier`.
"""

from collections.abc import Sequence
from dataclasses import replace

from crsr_video.imaging.operations import Pictures
from crsr_video.stages.networks import NetworkStage
from crsr_video.types import Crop, Face


class ConsistifyStage(NetworkStage):
    """Fills `Face.consistent` from `Face.crop`."""

    def input_crop(self, face: Face) -> Crop | None:
        """Return the crop of a face, or None if the networks do not run on it in this frame."""
        return face.crop if face.fresh else None

    def with_results(self, faces: Sequence[Face], results: Pictures) -> list[Face]:
        """Return the faces with the results clipped to legal values."""
        done = []
        for face, picture in zip(faces, results.clip(0.0, 1.0), strict=True):
            assert face.crop is not None
            done.append(replace(face, consistent=replace(face.crop, image=picture)))
        return done
