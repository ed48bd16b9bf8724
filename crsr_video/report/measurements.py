"""Measurements of a face before and after enhancement, at the same position in both frames."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.flow import motion_between
from crsr_video.imaging.geometry import Matrix, compose, crop_from_frame, resize_matrix
from crsr_video.imaging.warping import warp
from crsr_video.track.recognition import Chip, chip_of
from crsr_video.track.region_pictures import picture
from crsr_video.track.regions import enlarged_region, face_region
from crsr_video.types import Face, Frame

Luma = NDArray[np.float32]
Rgb = NDArray[np.uint8]

SIDE = 96
"""Side of the compared luma crops, in pixels."""
_JPEG_QUALITY = 90
_FACE = (
    slice(round(0.30 * SIDE), round(0.85 * SIDE)),
    slice(round(0.25 * SIDE), round(0.75 * SIDE)),
)
"""Rows and columns of the face within its crop."""
_MIN_AREA = 0.1
"""Share of the face that the flow must explain for a pair of frames to be measured."""


@dataclass(frozen=True, slots=True)
class FacePair:
    """A face in the source frame and in the finished frame, which may be larger."""

    face: Face
    before: Frame
    after: Frame

    def lumas(self) -> tuple[Luma, Luma]:
        """Return luma crops (green for RGB) in 8-bit codes, (SIDE, SIDE) each."""
        before, after = self._matrices(SIDE)
        return _luma(self.before, before), _luma(self.after, after)

    def pictures(self, face_widths: float, side: int) -> tuple[Rgb, Rgb]:
        """Return upright RGB pictures of the head, (side, side, 3) each.

        Args:
            face_widths: Width of the pictured part of the frame, in face widths.
            side: Side of the pictures in pixels.
        """
        region = face_region(self.before, self.face, face_widths)
        enlarged = enlarged_region(region, self.after.height / self.before.height)
        before, after = (
            np.rint(picture(frame, part, side) * 255).astype(np.uint8)
            for frame, part in ((self.before, region), (self.after, enlarged))
        )
        return before, after

    def chips(self) -> tuple[Chip, Chip]:
        """Return the inputs of the recognition network, before and after enhancement."""
        before, after = self._matrices(1)
        return chip_of(self.before, before), chip_of(self.after, after)

    def _matrices(self, size: int) -> tuple[Matrix, Matrix]:
        matrix = crop_from_frame(self.face.landmarks, size, float(self.before.sample_aspect))
        scale = self.after.width / self.before.width
        return matrix, compose(matrix, resize_matrix(1 / scale))


def _luma(frame: Frame, matrix: Matrix) -> Luma:
    plane = frame.components[1 if frame.layout.family == "rgb" else 0]
    luma: Luma = warp(plane, matrix, SIDE, SIDE) * np.float32(255 / (2**frame.layout.bits - 1))
    return luma


def encode_jpeg(picture: Rgb) -> bytes:
    """Compress an RGB picture."""
    blue_first = np.ascontiguousarray(picture[..., ::-1])
    return bytes(cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])


def flicker(earlier: tuple[Luma, Luma], later: tuple[Luma, Luma]) -> tuple[float, float] | None:
    """Measure the motion-compensated change between two frames.

    The motion is estimated on the source and applied to both versions.

    Args:
        earlier: Luma crops of a face before and after enhancement.
        later: The same two crops of the next frame.

    Returns:
        Mean absolute change before and after enhancement in 8-bit codes, or None if the flow
        explains too little of the face.
    """
    motion = motion_between(earlier[0], later[0], "fast")
    trusted = motion.trusted[_FACE]
    if trusted.mean() < _MIN_AREA:
        return None

    def change(old: Luma, new: Luma) -> float:
        return float(np.abs(new - motion.moved(old))[_FACE][trusted].mean())

    return change(earlier[0], later[0]), change(earlier[1], later[1])
