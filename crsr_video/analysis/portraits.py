"""One small picture of every person: the best that a video has, and always the same one."""

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import apply
from crsr_video.track.view import Region, picture, view_of
from crsr_video.types import Face, Frame, TrackedFrame

SIDE = 96
"""Of a picture, in pixels."""
_FACE_WIDTHS = 1.6
"""Of the face that its side shows: the head with a little around it."""
_LARGE = 160.0
"""Pixels of width beyond which a larger face makes no better picture of this size."""
_SHARP = 0.02
"""Mean Laplacian of luma, white being 1, at which a picture counts as half as sharp as can be."""
_QUALITY = 88
"""Of JPEG."""
_ADDRESS = "data:image/jpeg;base64,"

Picture = NDArray[np.uint8]
"""(H, W, 3), blue first, as OpenCV has it."""


_OFTEN = 8
"""Every so many sightings a face is looked at whatever it promises: it may have become sharp."""
_BETTER = 1.05
"""Times what the best picture promised, for which one is looked at out of turn."""


@dataclass(slots=True)
class _Portrait:
    """The best so far."""

    seen: int = -1
    """Sightings, but one."""
    promise: float = -1.0
    worth: float = -1.0
    jpeg: bytes = b""


class Portraits:
    """Keeps the best picture of each face, as a JPEG: a few kilobytes a person."""

    def __init__(self) -> None:
        self._best: dict[int, _Portrait] = {}

    def add(self, item: TrackedFrame) -> None:
        """Look at the faces of the next frame."""
        for face in item.faces:
            self._add(item.frame, face)

    @property
    def addresses(self) -> dict[int, str]:
        """By id, as ``data:`` addresses that browsers show."""
        jpegs = {key: best.jpeg for key, best in self._best.items() if best.jpeg}
        return {key: _ADDRESS + base64.b64encode(jpeg).decode() for key, jpeg in jpegs.items()}

    @property
    def pictures(self) -> dict[int, Picture]:
        """By id, (`SIDE`, `SIDE`, 3)."""
        return {key: _decoded(best.jpeg) for key, best in self._best.items() if best.jpeg}

    def _add(self, frame: Frame, face: Face) -> None:
        best = self._best.setdefault(face.track, _Portrait())
        best.seen += 1
        promise = _promise(frame, face)
        due = best.seen % _OFTEN == 0 or promise > _BETTER * best.promise
        # Sharpness can only take away from what is promised.
        if not np.isfinite(promise) or not due or promise <= best.worth:
            return
        shown = picture(frame, _region(frame, face), SIDE)
        worth = promise * _sharpness(shown)
        if worth > best.worth:
            best.promise, best.worth, best.jpeg = promise, worth, _encoded(shown)


def _promise(frame: Frame, face: Face) -> float:
    """How good a picture of the face could be: large, frontal, upright, and surely seen."""
    points = apply(view_of(frame).upright_from_frame, face.landmarks)
    eyes = points[1] - points[0]
    apart = float(np.hypot(*eyes))
    if apart < 1e-6:
        return 0.0
    # How far the nose lies off the middle between the eyes, along their line, in eye distances.
    off = abs(float((points[2] - points[:2].mean(0)) @ eyes)) / apart**2
    frontal = 1 / (1 + (3 * off) ** 2)
    upright = 0.75 + 0.25 * float(eyes[0]) / apart
    sure = 0.1 + 0.9 * face.confidence * face.presence
    region, view = _region(frame, face), view_of(frame)
    whole = _inside(region.x, region.side, view.width) * _inside(region.y, region.side, view.height)
    return min(region.side / _FACE_WIDTHS, _LARGE) * frontal * upright * sure * whole


def _inside(middle: float, side: float, size: float) -> float:
    """Share of a stretch that lies in the picture."""
    low, high = max(middle - side / 2, -0.5), min(middle + side / 2, size - 0.5)
    return max(high - low, 0.0) / side


def _region(frame: Frame, face: Face) -> Region:
    """The upright square around a face."""
    corners = apply(view_of(frame).upright_from_frame, np.reshape(face.box, (2, 2)))
    (x, y), (width, height) = corners.mean(0), np.abs(corners[1] - corners[0])
    side = max(2.0, _FACE_WIDTHS * float(min(width, height)))
    return Region(float(x), float(y), side, side)


def _sharpness(shown: NDArray[np.float32]) -> float:
    """0 to 1, by the contrast of neighbouring pixels in the middle."""
    luma = shown[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] @ np.full(3, 1 / 3, np.float32)
    detail = float(np.abs(cv2.Laplacian(luma, cv2.CV_32F)).mean())
    return 0.05 + 0.95 * detail / (detail + _SHARP)


def _encoded(shown: NDArray[np.float32]) -> bytes:
    blue_first = np.ascontiguousarray((shown[..., ::-1] * 255 + 0.5).astype(np.uint8))
    _, data = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data.tobytes())


def _decoded(jpeg: bytes) -> Picture:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
