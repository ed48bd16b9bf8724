"""Dense optical flow between two pictures of a face.

The method is that of Kroeger et al. 2016, "Fast optical flow using dense inverse search", as
implemented in OpenCV. It runs on the processor only.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import LUMA_WEIGHTS
from crsr_video.types import Bytes, FloatPicture

Effort = Literal["ultrafast", "fast", "medium"]
"""Effort of the search. The CPU time roughly doubles from each level to the next."""

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
_LUMA = np.array(LUMA_WEIGHTS, np.float32)

FLOW_SIDE = 128
"""Side in pixels of the pictures between which `flows` searches. At 256 flicker falls by another
1 to 4 %, for six times the CPU time."""

FLOW_CELLS = 64
"""Vectors per side of the result of `flows`. The search itself finds one vector per four pixels."""

_MAX_MISMATCH_PX = 0.5
"""Largest trusted distance between a pixel and the place where backward plus forward flow takes it.
A share of the length of the flow is added."""


def dense_flow(now: Bytes, other: Bytes, effort: Effort) -> FloatPicture:
    """Return the displacement from each pixel of a picture to its content in another picture.

    Args:
        now: (H, W) luma.
        other: (H, W) luma of the other picture.
        effort: Effort of the search.

    Returns:
        (H, W, 2): x and y in pixels.
    """
    flow: FloatPicture = cv2.DISOpticalFlow.create(_PRESETS[effort]).calc(now, other, None)
    return flow


def flows(pictures: FloatPicture, others: FloatPicture) -> tuple[FloatPicture, FloatPicture]:
    """Return where the content of small pictures lies in other pictures, and the reverse.

    Args:
        pictures: (N, 3, S, S) RGB in [0, 1].
        others: Pictures of the same shape.

    Returns:
        Flow from pictures to others, and from others to pictures; (N, 2, FLOW_CELLS, FLOW_CELLS)
        each. Distances x and y are fractions of the side of the picture.
    """
    search = cv2.DISOpticalFlow.create(_PRESETS["ultrafast"])
    found = np.zeros((2, len(pictures), 2, FLOW_CELLS, FLOW_CELLS), np.float32)
    for index, (one, other) in enumerate(zip(pictures, others, strict=True)):
        a, b = _searched(one), _searched(other)
        if not np.array_equal(a, b):  # Even equal pictures would show some motion.
            found[0, index] = _cells(search.calc(a, b, None))
            found[1, index] = _cells(search.calc(b, a, None))
    return found[0], found[1]


def _cells(flow: FloatPicture) -> FloatPicture:
    """Return flow in pixels, (FLOW_SIDE, FLOW_SIDE, 2), as fractions of the side for each cell."""
    cells = cv2.resize(flow, (FLOW_CELLS, FLOW_CELLS), interpolation=cv2.INTER_AREA) / FLOW_SIDE
    moved: FloatPicture = cells.transpose(2, 0, 1)
    return moved


def _searched(picture: FloatPicture) -> Bytes:
    """Return the luma of a picture in 8-bit codes, enlarged for the search."""
    luma = cv2.resize(
        np.tensordot(_LUMA, picture, 1), (FLOW_SIDE, FLOW_SIDE), interpolation=cv2.INTER_CUBIC
    )
    codes: Bytes = np.clip(np.rint(255 * luma), 0, 255).astype(np.uint8)
    return codes


@dataclass(frozen=True)
class Motion:
    """Positions of the pixels of a picture in an earlier one."""

    x: FloatPicture
    """Columns, (H, W)."""
    y: FloatPicture
    """Rows, (H, W)."""
    trusted: NDArray[np.bool_]
    """Whether forward and backward flow agree, (H, W)."""

    def moved(self, before: FloatPicture) -> FloatPicture:
        """Return the earlier picture, (H, W), moved to where its content is now."""
        moved: FloatPicture = cv2.remap(
            before, self.x, self.y, cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE
        )
        return moved


def motion_between(before: FloatPicture, now: FloatPicture, effort: Effort) -> Motion:
    """Return the motion between two lumas (H, W) in 8-bit codes, checked forward and backward."""
    a, b = (np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in (before, now))
    back, forth = dense_flow(b, a, effort), dense_flow(a, b, effort)
    rows, columns = np.indices(a.shape, np.float32)
    x, y = columns + back[..., 0], rows + back[..., 1]
    returned = back + cv2.remap(forth, x, y, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    way = np.hypot(back[..., 0], back[..., 1])
    error = np.hypot(returned[..., 0], returned[..., 1])
    return Motion(x, y, error < _MAX_MISMATCH_PX + 0.05 * way)
