"""Measurements of a face before and after enhancement, and curves in bounded memory."""

from dataclasses import dataclass, field
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.flow import motion_between
from crsr_video.imaging.geometry import Matrix, compose, crop_from_frame, resize_matrix
from crsr_video.imaging.warping import warp
from crsr_video.report.facts import Curve, VisibleSpan
from crsr_video.track.recognition import Chip, chip_of
from crsr_video.track.region_pictures import picture
from crsr_video.track.regions import enlarged_region, face_region
from crsr_video.types import Face, Frame

MAX_POINTS = 240
MAX_SPANS = 120
MAX_GAP_SECONDS = 0.5
"""A face that was missing for longer than this begins a new span."""


@dataclass(slots=True)
class Gauge:
    """Minimum, maximum, mean and thinned curve of one quantity."""

    count: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    _every: int = 1
    _points: list[tuple[float, float]] = field(default_factory=list)
    _pending: list[tuple[float, float]] = field(default_factory=list)

    def push(self, seconds: float, value: float) -> None:
        """Add a value."""
        self.count += 1
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)
        self._pending.append((seconds, value))
        if len(self._pending) >= self._every:
            self._points.append(_mean(self._pending))
            self._pending.clear()
        if len(self._points) > MAX_POINTS:
            pairs = zip(self._points[::2], self._points[1::2], strict=False)
            self._points = [_mean(list(pair)) for pair in pairs]
            self._every *= 2

    @property
    def mean(self) -> float:
        """Mean of all values, or 0 without values."""
        return self.total / self.count if self.count else 0.0

    @property
    def median(self) -> float:
        """Median of the thinned curve, or 0 without values."""
        values = [value for _, value in self._all_points]
        return median(values) if values else 0.0

    @property
    def curve(self) -> Curve:
        """The curve so far, rounded for people to read."""
        points = self._all_points
        return Curve(
            tuple(round(seconds, 3) for seconds, _ in points),
            tuple(round(value, 4) for _, value in points),
        )

    @property
    def _all_points(self) -> list[tuple[float, float]]:
        return [*self._points, *([_mean(self._pending)] if self._pending else [])]

    def drop_curve(self) -> None:
        """Delete the curve, and keep only the totals."""
        self._points, self._pending = [], []


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    seconds, values = zip(*points, strict=True)
    return sum(seconds) / len(points), sum(values) / len(points)


class Presence:
    """Intervals during which a face was visible, enhanced or not."""

    def __init__(self) -> None:
        self._spans: list[VisibleSpan] = []

    def push(self, seconds: float, enhanced: bool) -> None:
        """Record that the face is visible at this time."""
        last = self._spans[-1] if self._spans else None
        if (
            last is not None
            and last.enhanced == enhanced
            and seconds - last.last_seconds <= MAX_GAP_SECONDS
        ):
            self._spans[-1] = VisibleSpan(last.first_seconds, seconds, enhanced)
            return
        self._spans.append(VisibleSpan(seconds, seconds, enhanced))
        if len(self._spans) > MAX_SPANS:
            self._join_nearest()

    @property
    def spans(self) -> tuple[VisibleSpan, ...]:
        """Spans in order of time, rounded for people to read."""
        return tuple(
            VisibleSpan(round(s.first_seconds, 3), round(s.last_seconds, 3), s.enhanced)
            for s in self._spans
        )

    def _join_nearest(self) -> None:
        neighbours = zip(self._spans, self._spans[1:], strict=False)
        gaps = [b.first_seconds - a.last_seconds for a, b in neighbours]
        at = gaps.index(min(gaps))
        a, b = self._spans[at : at + 2]
        longer = max(a, b, key=lambda span: span.last_seconds - span.first_seconds)
        self._spans[at : at + 2] = [VisibleSpan(a.first_seconds, b.last_seconds, longer.enhanced)]


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
