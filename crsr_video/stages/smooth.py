"""Smooth: no flicker between almost equal frames.

Aligned crops of one track lie on top of each other, so neighbours in time can be averaged
pixel by pixel wherever they show the same thing. Where the face moves within its crop (a blink, a
word), the consistent crops differ and the neighbour's weight falls to nothing: nothing smears.
With frames to come (lookahead) the window is symmetric, so the average has no lag.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.types import Crop, Face, TrackedFrame

FloatPicture = NDArray[np.float32]

TOLERANCE = 0.045
"""Difference of two consistent crops, 1 being white, at which a neighbour's weight is 1/e."""


class Smoother:
    """The smooth stage: averages `Face.enhanced` over up to `radius` frames on either side.

    Args: radius: frames before, and (unless causal) after.
          causal: look back only; then nothing is held back.
          average: of a face and the same face in other frames; as `smooth_face`.
    """

    def __init__(
        self,
        radius: int = 2,
        *,
        causal: bool = False,
        average: Callable[[Face, list[Face]], Face] | None = None,
    ) -> None:
        self._average = average or smooth_face
        self.radius = radius
        self.lookahead = 0 if causal else radius
        self._window: deque[TrackedFrame] = deque()
        self._next = 0

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Take a frame; return the one that has now seen its whole window."""
        done = self.flush() if item.cut else []
        self._window.append(item)
        if len(self._window) - self._next > self.lookahead:
            done.append(self._finish())
        return done

    def flush(self) -> list[TrackedFrame]:
        """Finish all frames with what there is."""
        done = []
        while self._next < len(self._window):
            done.append(self._finish())
        self.reset()
        return done

    def reset(self) -> None:
        """Forget all frames."""
        self._window.clear()
        self._next = 0

    def _finish(self) -> TrackedFrame:
        centre = self._next
        first, last = max(0, centre - self.radius), centre + self.lookahead
        neighbours = [
            item
            for index, item in enumerate(self._window)
            if first <= index <= last and index != centre
        ]
        item = self._window[centre]
        smoothed = tuple(self._average(face, _same_track(face, neighbours)) for face in item.faces)
        self._next += 1
        while self._next > self.radius:
            self._window.popleft()
            self._next -= 1
        return replace(item, faces=smoothed)


def _same_track(face: Face, items: list[TrackedFrame]) -> list[Face]:
    """The same person's faces in other frames, as far as they can be compared."""
    if face.enhanced is None or face.consistent is None:
        return []
    return [
        other
        for item in items
        for other in item.faces
        if other.track == face.track
        and other is not face
        and other.enhanced is not None
        and other.consistent is not None
        and other.consistent.size == face.consistent.size
    ]


def smooth_face(face: Face, others: list[Face]) -> Face:
    """The face with its enhanced picture averaged with those of `others` where they agree."""
    if not others or face.enhanced is None:
        return face
    size = face.enhanced.size
    total = face.enhanced.image.copy()
    weights = np.ones((size, size), np.float32)
    for other in others:
        weight = _agreement(face, other, size)
        assert other.enhanced is not None
        total += weight * other.enhanced.image
        weights += weight
    return replace(face, enhanced=Crop(total / weights, face.enhanced.crop_from_frame))


def _agreement(face: Face, other: Face, size: int) -> FloatPicture:
    """Weight of another frame's face, (size, size) in [0, 1], one for an equal picture.

    Compared are the consistent crops: they are small, and rid of the noise that differs always.
    """
    assert face.consistent is not None
    assert other.consistent is not None
    difference = np.abs(face.consistent.image - other.consistent.image).max(0)
    difference = cv2.blur(difference, (3, 3), borderType=cv2.BORDER_REPLICATE)
    weight = np.exp(-((difference / TOLERANCE) ** 2), dtype=np.float32)
    enlarged: FloatPicture = cv2.resize(weight, (size, size), interpolation=cv2.INTER_LINEAR)
    return enlarged
