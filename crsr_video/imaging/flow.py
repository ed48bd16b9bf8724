"""Dense optical flow between two pictures of a face.

The method is that of Kroeger et al. 2016, "Fast optical flow using dense inverse search", as
implemented in OpenCV. It runs on the processor only.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

FloatPicture = NDArray[np.float32]
Bytes = NDArray[np.uint8]

Effort = Literal["ultrafast", "fast", "medium"]
"""Effort of the search; the CPU time roughly doubles from one to the next."""

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
_MAX_MISMATCH_PX = 0.5
"""Forward and backward flow may miss the start by this much, plus a share of their length."""


def dense_flow(now: Bytes, other: Bytes, effort: Effort) -> FloatPicture:
    """Return how far each pixel of a picture has to move to find itself in another picture.

    Args:
        now: (H, W) luma.
        other: (H, W) luma of the other picture.
        effort: Effort of the search.

    Returns:
        (H, W, 2): x and y in pixels.
    """
    flow: FloatPicture = cv2.DISOpticalFlow.create(_PRESETS[effort]).calc(now, other, None)
    return flow


@dataclass(frozen=True)
class Motion:
    """Positions of the pixels of a picture in an earlier one."""

    x: FloatPicture
    """(H, W), columns."""
    y: FloatPicture
    """(H, W), rows."""
    trusted: NDArray[np.bool_]
    """(H, W): forward and backward flow agree."""

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
