"""Look at a face before and after, at the same place of the frame and of the finished one."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Matrix, compose, crop_from_frame, resize_matrix
from crsr_video.imaging.resampling import sample
from crsr_video.imaging.warping import warp
from crsr_video.types import Face, Frame

FloatPicture = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SIDE = 96
"""Of the crops that are compared, in pixels."""
_QUALITY = 90
"""Of JPEG."""
_FACE = (
    slice(round(0.30 * SIDE), round(0.85 * SIDE)),
    slice(round(0.25 * SIDE), round(0.75 * SIDE)),
)
"""Rows and columns of the face within its crop."""
_DISAGREEMENT = 0.5
"""Pixels by which flow forth and back may miss the start, and what is added for long ways."""
_LEAST_AREA = 0.1
"""Share of the face that flow must explain; below it a pair of frames says nothing."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A face in the source's frame and in the finished one, which may be larger."""

    face: Face
    before: Frame
    after: Frame

    def matrices(self, size: int) -> tuple[Matrix, Matrix]:
        """Pixels of a canonical crop from those of either frame.

        Raises: DegenerateFaceError.
        """
        aspect = float(self.before.sample_aspect)
        matrix = crop_from_frame(self.face.landmarks, size, aspect)
        scale = self.after.width / self.before.width
        return matrix, compose(matrix, resize_matrix(1 / scale))

    def lumas(self) -> tuple[FloatPicture, FloatPicture]:
        """Crops of luma (of RGB: green) in 8-bit codes, (SIDE, SIDE) each."""
        one, other = self.matrices(SIDE)
        return _luma(self.before, one), _luma(self.after, other)

    def pictures(self, side: int) -> tuple[Bytes, Bytes]:
        """Crops in RGB, (side, side, 3) each."""
        one, other = self.matrices(side)
        return _codes(sample(self.before, one, side, side)), _codes(
            sample(self.after, other, side, side)
        )

    def through(self, target_from_crop: Matrix, side: int) -> tuple[Bytes, Bytes]:
        """RGB under a further transform of the canonical crop of one pixel a side."""
        one, other = (compose(target_from_crop, matrix) for matrix in self.matrices(1))
        return _codes(sample(self.before, one, side, side)), _codes(
            sample(self.after, other, side, side)
        )


def _luma(frame: Frame, matrix: Matrix) -> FloatPicture:
    plane = frame.components[1 if frame.layout.family == "rgb" else 0]
    luma: FloatPicture = warp(plane, matrix, SIDE, SIDE) * np.float32(
        255 / (2**frame.layout.bits - 1)
    )
    return luma


def _codes(picture: FloatPicture) -> Bytes:
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


def jpeg(picture: Bytes) -> bytes:
    """A compressed RGB picture."""
    blue_first = np.ascontiguousarray(picture[..., ::-1])
    return bytes(cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])


def flicker(
    earlier: tuple[FloatPicture, FloatPicture], later: tuple[FloatPicture, FloatPicture]
) -> tuple[float, float] | None:
    """What changed from a frame to the next, motion compensated: before, after, in codes.

    The motion is the source's, and counts for both. None: it explains too little of the face.
    Source: Kroeger et al. 2016, "Fast optical flow using dense inverse search", as OpenCV has it.
    """
    a, b = (np.clip(np.rint(pair[0]), 0, 255).astype(np.uint8) for pair in (earlier, later))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    back, forth = search.calc(b, a, None), search.calc(a, b, None)
    rows, columns = np.indices(a.shape, np.float32)
    x, y = columns + back[..., 0], rows + back[..., 1]
    returned = back + cv2.remap(forth, x, y, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    way = np.hypot(back[..., 0], back[..., 1])
    trusted = np.hypot(returned[..., 0], returned[..., 1]) < _DISAGREEMENT + 0.05 * way
    trusted = trusted[_FACE]
    if trusted.mean() < _LEAST_AREA:
        return None

    def change(old: FloatPicture, new: FloatPicture) -> float:
        moved = cv2.remap(old, x, y, cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE)
        return float(np.abs(new - moved)[_FACE][trusted].mean())

    return change(earlier[0], later[0]), change(earlier[1], later[1])
