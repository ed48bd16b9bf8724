"""Smoothing: turns the observations of a track into steady faces that do not lag or pop."""

from collections import deque
from dataclasses import dataclass, field
from math import radians
from statistics import median, median_low

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Points, apply, face_width
from crsr_video.track.regions import UprightView
from crsr_video.track.tracks import Track
from crsr_video.types import Face

_MEASURED_STEPS = 16
"""Number of recent steps between frames. Their lower median is the usual step. The number is even,
so that the median of alternating steps does not alternate too."""
_KEPT_FRAMES = 256
_EVEN = (0.9, 1.1)
"""Range of steps, relative to the usual step, that count as usual. Containers round timestamps to
milliseconds."""
_SHORTEST, _LONGEST = 0.25, 8.0
"""Bounds of one step in usual steps, even after a picture that was shown for minutes."""


class FrameClock:
    """Counts time in usual steps between frames.

    A video with an even frame rate counts its frames. In other videos, a frame that comes after
    twice the usual time is two steps away.
    """

    def __init__(self) -> None:
        self._places: dict[int, float] = {}
        self._steps: deque[float] = deque(maxlen=_MEASURED_STEPS)
        self._seconds = 0.0

    def add(self, index: int, seconds: float) -> None:
        """Add the next frame with its timestamp."""
        step = 1.0
        if self._places and seconds > self._seconds:
            self._steps.append(seconds - self._seconds)
            step = (seconds - self._seconds) / median_low(self._steps)
            step = 1.0 if _EVEN[0] < step < _EVEN[1] else min(max(step, _SHORTEST), _LONGEST)
        # Places begin at zero, so that they do not round differently later in a video.
        self._places[index] = self.place(index - 1) + step if self._places else 0.0
        self._seconds = seconds
        if len(self._places) > _KEPT_FRAMES:
            del self._places[next(iter(self._places))]

    def place(self, index: int) -> float:
        """Return the place of a frame in usual steps. Unknown frames count as evenly spaced."""
        if index in self._places or not self._places:
            return self._places.get(index, float(index))
        first = next(iter(self._places))
        known = first if index < first else next(reversed(self._places))
        return self._places[known] + index - known


Array = NDArray[np.float64]

RAMP = 5
"""Frames over which a face appears or disappears."""
SIZE_RAMP = 1.15
"""Factor on the minimum face width from which the presence of a face is full."""
_PROFILE = (radians(62), radians(75))
"""Yaw from which a face counts less, and from which it does not count."""
_CLEAR = (0.25, 0.5)
"""Confidence up to which a face does not count, and from which it counts fully."""
_INSIDE = (0.4, 0.75)
"""Share of a face inside the frame up to which it does not count, and from which it does fully."""
_LEAST_WEIGHT = 0.02
_REST_SIGMA = 3.0
_LEAST_SIGMA = 0.5
_SPEED_SIGMA = 1.5
_SHAKE_REACH = 3
"""Number of frames on either side in which camera shake is measured."""
_HALF_SHAKE = 0.03
"""Shake, in face sizes, that halves the width of the window."""
_NOISE_SHAKE = 0.03
"""Largest jump of the points that noise causes, as a share of their extent."""
_HALF_SPEED = 0.012
"""Speed, in face sizes per frame, at which the window is half as wide as for a face at rest."""
_SPEED_CUTOFF = 0.06
"""Cutoff, in cycles per frame, of the filter for the speed itself if only the past is known."""
_NOISE_SPEED = 0.005
"""Apparent speed of a resting face that noise causes, in face sizes per frame."""


def local_fit(
    times: Array, values: Array, at: float, sigma: float, trust: Array | None = None
) -> tuple[Array, Array]:
    """Fit a straight line to the samples near a time, and return its value and slope there.

    Straight motion passes unchanged, whatever the weights and however unevenly the samples lie, so
    there is no lag, and gaps and ends need no special case.

    Args:
        times: (N,) times of the samples.
        values: (N, K) samples.
        at: The time.
        sigma: Standard deviation of the Gaussian weights in units of time.
        trust: (N,) further weights. Defaults to equal ones.

    Returns:
        The value (K,) and the slope (K,) per unit of time.
    """
    offset = times - at
    # The samples on both sides of a gap must count, however narrow the window is.
    before, after = offset[offset <= 0], offset[offset >= 0]
    gap = max(-before.max(), after.min()) if before.size and after.size else np.abs(offset).min()
    weight = np.exp(-0.5 * (offset / max(sigma, gap / 2)) ** 2)
    if trust is not None:
        weight *= trust
    weight /= weight.sum()
    middle = float(weight @ offset)
    mean = weight @ values
    spread = float(weight @ (offset - middle) ** 2)
    if spread < 1e-9:
        return mean, np.zeros_like(mean)
    slope = (weight * (offset - middle)) @ (values - mean) / spread
    return mean - middle * slope, slope


def _slopes(times: Array, values: Array, at: Array) -> Array:
    """Return the slopes of `local_fit` at several times at once, (M, K)."""
    offset = times - at[:, None]
    before = np.where(offset <= 0, -offset, np.inf).min(1)
    after = np.where(offset >= 0, offset, np.inf).min(1)
    gap = np.where(
        np.isinf(before) | np.isinf(after), np.minimum(before, after), np.maximum(before, after)
    )
    weight = np.exp(-0.5 * (offset / np.maximum(_SPEED_SIGMA, gap / 2)[:, None]) ** 2)
    weight /= weight.sum(1, keepdims=True)
    offset -= (weight * offset).sum(1, keepdims=True)
    pull = weight * offset
    spread = (pull * offset).sum(1, keepdims=True)
    # `pull` sums to zero, so subtracting one value from all values does not change the slopes.
    slopes: Array = np.where(
        spread < 1e-9, 0.0, pull @ (values - values[0]) / np.maximum(spread, 1e-9)
    )
    return slopes


def bandwidth(times: Array, points: Array, at: float, size: float) -> float:
    """Return the width of the smoothing window: wide at rest, and narrow for a fast face.

    Args:
        times: (N,) times of the frames, in units of the usual step between frames.
        points: (N, 2 P) coordinates in pixels.
        at: Time of the frame in the same unit.
        size: Size of the face in pixels.

    Returns:
        Sigma in the same unit.
    """
    # A face that turns back is at rest for one frame only, so take the speed around it.
    slopes = _slopes(times, points, at + np.array([-2.0, 0.0, 2.0]))
    speed = float(np.hypot(slopes[:, ::2], slopes[:, 1::2]).max()) / size
    sigma = max(_LEAST_SIGMA, _REST_SIGMA / (1 + speed / _HALF_SPEED))
    return sigma / (1 + shake(times, points, at) / size / _HALF_SHAKE)


def shake(times: Array, points: Array, at: float) -> float:
    """Return how far a face jumps to and fro between frames, in pixels beyond the noise.

    A shaken camera has no speed on average, and yet neighbouring frames say little about each
    other.
    """
    shapes = points.reshape(len(points), -1, 2)
    middle = shapes.mean(1)
    near = np.abs(times - at) <= _SHAKE_REACH
    if near.sum() < 3:
        return 0.0
    close = middle[near]
    bends = np.hypot(*(close[2:] - 2 * close[1:-1] + close[:-2]).T) / 2
    # For so few values, NumPy's median takes several times as long.
    extent: float = median((shapes.max(1) - shapes.min(1)).max(1).tolist())
    return max(0.0, float(median(bends.tolist())) - _NOISE_SHAKE * extent)


@dataclass(slots=True)
class OneEuroFilter:
    """A low-pass filter over past frames only, whose cutoff rises with speed.

    Source: Casiez, Roussel, Vogel, "1 Euro filter", CHI 2012. The unit of time is the usual
    step between frames; see `FrameClock`.
    """

    least_cutoff: float = 0.04
    """Cutoff at rest, in cycles per frame."""
    per_speed: float = 20.0
    """Increase of the cutoff for each face size per frame of speed."""
    _latest: Array | None = None
    _value: Array | None = None
    _slope: Array | None = None

    def __call__(self, value: Array, size: float, steps: float = 1.0) -> Array:
        """Filter the next value, (K,), of a face of `size` pixels, `steps` after the last value."""
        before, self._latest = self._latest, value
        if before is None or self._value is None or self._slope is None:
            self._value, self._slope = value, np.zeros_like(value)
            return value
        speed_gain = _gain(_SPEED_CUTOFF * steps)
        self._slope = self._slope + speed_gain * ((value - before) / steps - self._slope)
        # The noise of a resting face is not motion.
        speed = max(0.0, float(np.abs(self._slope).max()) / size - _NOISE_SPEED)
        gain = _gain((self.least_cutoff + self.per_speed * speed) * steps)
        self._value = self._value + gain * (value - self._value)
        return self._value


def _gain(cutoff: float) -> float:
    """Return the gain of a first-order low-pass filter with a cutoff in cycles per sample."""
    return float(1 - np.exp(-2 * np.pi * cutoff))


def fade_out(at: int, last: int, horizon: int, lookahead: int) -> float:
    """Return the maximum presence of a face that was last observed at `last`.

    Args:
        at: The frame.
        last: Frame of the last observation.
        horizon: The latest known frame. A face that is observed there does not fade.
        lookahead: Frames known ahead. With enough of them the face has faded by `last`;
            otherwise it fades afterwards.
    """
    if last >= horizon:
        return 1.0
    left = last + max(0, RAMP - lookahead) - at + 1
    return float(np.clip(left / (RAMP + 1), 0, 1))


def smooth_step(low: float, high: float, value: float) -> float:
    """Return 0 below `low`, 1 above `high`, and a smooth transition between."""
    t = float(np.clip((value - low) / (high - low), 0, 1))
    return t * t * (3 - 2 * t)


def reason_too_small(min_face: float) -> str:
    """Return why a face narrower than `min_face` pixels is left alone."""
    return f"smaller than {min_face:g} px"


@dataclass(slots=True)
class _History:
    """State of a face in the previous frame."""

    presence: float = 0.0
    points: OneEuroFilter = field(default_factory=OneEuroFilter)
    box: OneEuroFilter = field(default_factory=OneEuroFilter)


class FaceSmoother:
    """Makes the faces of each frame from the tracks."""

    def __init__(self, lookahead: int, min_face: float) -> None:
        """Create a smoother.

        Args:
            lookahead: Frames known ahead.
            min_face: Width in frame pixels below which a face is marked as skipped.
        """
        self._lookahead = lookahead
        self._min_face = min_face
        self.clock = FrameClock()
        """Places of the frames in time. Without any, frames are evenly spaced."""
        self._histories: dict[int, _History] = {}

    def face(
        self, track: Track, at: int, *, begins_scene: bool, horizon: int, view: UprightView
    ) -> Face | None:
        """Return the face of a track in one frame. Ask for the frames in order, each once.

        Args:
            track: The track.
            at: The frame.
            begins_scene: The frame is the first one of its scene.
            horizon: The latest known frame, or the last one of the scene.
            view: The view of the frame.

        Returns:
            The face, or None if it is not present in the frame.
        """
        end = track.end_of_run(at, self._lookahead)
        fade = 0.0 if end is None else fade_out(at, end, horizon, self._lookahead)
        if fade <= 0:
            self._histories.pop(track.id, None)
            return None
        history = self._histories.setdefault(track.id, _History())
        points, box = self._steady(track, at, history)
        confidence, yaw = _quality(track, at, self.clock)
        width = face_width(points)
        wanted = smooth_step(*_CLEAR, confidence) * smooth_step(*_INSIDE, _share_inside(box, view))
        if self._min_face > 0:
            wanted *= smooth_step(self._min_face, SIZE_RAMP * self._min_face, width)
        if not begins_scene:
            pace = 1 / (RAMP + 1)
            wanted = float(np.clip(wanted, history.presence - pace, history.presence + pace))
        history.presence = min(wanted, fade)
        return Face(
            track=track.id,
            landmarks=apply(view.frame_from_upright, points),
            box=_frame_box(box, view),
            confidence=confidence,
            presence=history.presence,
            skipped=self._reason(width, yaw, history.presence),
        )

    def keep_only(self, track_ids: set[int]) -> None:
        """Forget all other tracks."""
        self._histories = {k: v for k, v in self._histories.items() if k in track_ids}

    def _steady(self, track: Track, at: int, history: _History) -> tuple[Points, Array]:
        if self._lookahead > 0:
            return _smoothed(track, at, self._lookahead, self.clock)
        steps = self.clock.place(at) - self.clock.place(at - 1)
        latest = track.observations.get(at) or track.latest
        points = history.points(latest.points.ravel(), latest.size, steps)
        return points.reshape(5, 2), history.box(latest.box, latest.size, steps)

    def _reason(self, width: float, yaw: float, presence: float) -> str | None:
        if width < self._min_face:
            return reason_too_small(self._min_face)
        if presence > 0:
            return None
        return "turned too far to a side" if yaw > _PROFILE[0] else "not seen clearly"


def _smoothed(track: Track, at: int, reach: int, clock: FrameClock) -> tuple[Points, Array]:
    near = [i for i in track.observations if abs(i - at) <= reach] or [track.last]
    times = np.array([clock.place(i) for i in near])
    seen = [track.observations[i] for i in near]
    points = np.array([o.points.ravel() for o in seen])
    values = np.hstack([points, np.array([o.box for o in seen])])
    size = float(np.mean([o.size for o in seen]))
    at_last = clock.place(
        min(at, near[-1])
    )  # After its last observation, the face stays where it was.
    # Observations of a covered or turned face are uncertain, so the others weigh more.
    trust = np.array([_LEAST_WEIGHT + track.confidences[i] for i in near])
    sigma = bandwidth(times, points, at_last, size)
    smoothed = local_fit(times, values, at_last, sigma, trust)[0]
    return smoothed[:10].reshape(5, 2), smoothed[10:]


def _quality(track: Track, at: int, clock: FrameClock) -> tuple[float, float]:
    """Return confidence and yaw of a face, averaged over neighbouring frames."""
    times = np.array([clock.place(i) for i in track.observations])
    values = np.array([(track.confidences[i], abs(o.yaw)) for i, o in track.observations.items()])
    weight = np.exp(-0.5 * ((times - clock.place(at)) / 2) ** 2) + 1e-12
    trust, yaw = weight @ values / weight.sum()
    return float(trust * (1 - smooth_step(*_PROFILE, float(yaw)))), float(yaw)


def _share_inside(box: Array, view: UprightView) -> float:
    """Return the share of a box that lies inside the frame."""
    inside = np.clip(box, -0.5, np.tile([view.width, view.height], 2) - 0.5)
    return float((inside[2:] - inside[:2]).prod() / max(1e-9, (box[2:] - box[:2]).prod()))


def _frame_box(box: Array, view: UprightView) -> tuple[float, float, float, float]:
    corners = apply(view.frame_from_upright, box[[0, 1, 2, 1, 0, 3, 2, 3]].reshape(4, 2))
    (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
    return float(x0), float(y0), float(x1), float(y1)
