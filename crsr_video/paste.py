"""Paste: bring the enhanced face back, as a masked change in the frame's own planes.

What is added is a difference: enhanced picture minus what the frame shows there. Where the mask
is zero nothing is touched, bit for bit; an identity network changes nothing anywhere.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.geometry import compose, resize_matrix
from crsr_video.masks import face_mask, patch
from crsr_video.sampling import add, sample
from crsr_video.types import Face, Frame, Patch, TrackedFrame, Upscaler
from crsr_video.upscale import enlarge

FloatPicture = NDArray[np.float32]

_NEIGHBOURHOODS = 32
"""To a side of the crop: how locally detail is compared (a Gaussian of this deviation)."""

_GREY = np.full(3, 1 / 3, np.float32)


class Paster:
    """The paste stage; no lookahead.

    Args: strength: share of the correction that is applied, 0 to 1.
          scale: enlargement of the whole frame, 1, 2 or 4.
          upscaler: of the background, where the frame is enlarged; see `upscale`.
    """

    lookahead = 0

    def __init__(
        self, strength: float = 1.0, scale: int = 1, upscaler: str | Upscaler = "lanczos"
    ) -> None:
        self._strength = strength
        self._scale = scale
        self._upscaler = upscaler

    def push(self, item: TrackedFrame) -> list[Frame]:
        """The finished frame."""
        frame = enlarge(item.frame, self._scale, self._upscaler)
        faces = [face for face in item.faces if self._weight(face) > 0]
        if not faces:
            return [frame]
        planes = tuple(plane.copy() for plane in frame.components)
        pasted = frame.with_components(planes)
        patches = tuple(self._paste(pasted, face) for face in faces)
        return [replace(pasted, changed=patches)]

    def flush(self) -> list[Frame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """Nothing is remembered."""

    def _weight(self, face: Face) -> float:
        if face.enhanced is None or face.skipped is not None:
            return 0.0
        return self._strength * face.strength * face.presence

    def _paste(self, frame: Frame, face: Face) -> Patch:
        """Change the planes of `frame`, which are this stage's own copies; returns where."""
        assert face.enhanced is not None
        size = face.enhanced.size
        crop_from_frame = compose(face.enhanced.crop_from_frame, resize_matrix(1 / self._scale))
        shown = sample(frame, crop_from_frame, size, size)
        mask = self._weight(face) * face_mask(size)[..., None]
        add(frame.components, frame.layout, mask * _change(face, shown), crop_from_frame)
        return patch(face.track, frame, crop_from_frame, size, self._weight(face))


def _change(face: Face, shown: FloatPicture) -> FloatPicture:
    """What to add to what the frame shows, (S, S, 3).

    The networks saw the crop; its bicubic enlargement is the part of the frame that they answer
    for. To that they add detail. The frame may have detail of its own beyond the crop's band: as
    far as that is noise (`Face.detail`) it goes, and as far as it is what the networks found
    too, theirs is not added once more.
    Args: shown: the frame at the enhanced picture's place, float32 (S, S, 3).
    """
    assert face.crop is not None
    assert face.enhanced is not None
    small, size = face.crop.image.transpose(1, 2, 0), shown.shape[0]
    seen = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
    added = face.enhanced.image.transpose(1, 2, 0) - seen
    own = shown - seen
    missing = 1.0 - (1.0 - face.detail) * _present(own, added)
    change: FloatPicture = missing[..., None] * added - face.detail * own
    return change


def _present(own: FloatPicture, added: FloatPicture) -> FloatPicture:
    """How much of the added detail is there already, (S, S) in [0, 1].

    Locally, the least-squares factor by which `added` explains `own`.
    """
    a, b = own @ _GREY, added @ _GREY
    shared, power = _around(a * b), _around(b * b)
    share: FloatPicture = np.clip(shared / (power + 1e-8), 0.0, 1.0)
    spread: FloatPicture = cv2.resize(share, a.shape, interpolation=cv2.INTER_LINEAR)
    return spread


def _around(picture: FloatPicture) -> FloatPicture:
    """Local means on a coarse grid, (S, S) to (G, G)."""
    cells = (_NEIGHBOURHOODS, _NEIGHBOURHOODS)
    coarse = cv2.resize(picture, cells, interpolation=cv2.INTER_AREA)
    means: FloatPicture = cv2.GaussianBlur(coarse, (0, 0), 1.0)
    return means
