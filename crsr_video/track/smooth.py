"""Steady landmarks over time without lag, and faces that come and go without popping."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RAMP = 5
"""Frames over which a face appears or disappears."""
_REST_SIGMA = 3.0
_LEAST_SIGMA = 0.5
_SPEED_SIGMA = 1.5
_SHAKE_REACH = 3
"""Frames to either side in which a shaken camera shows."""
_HALF_SHAKE = 0.03
"""Face sizes of shake at which the window is half as wide as without."""
_NOISE_SHAKE = 0.03
"""Share of the points' extent that noise makes them jump at most."""
_SPEED_CUTOFF = 0.06
"""Of the speed itself where only the past is known, cycles a frame."""
_NOISE_SPEED = 0.005
"""Face sizes a frame by which noise seems to move a resting face."""
_HALF_SPEED = 0.012
"""Likewise, at which the window is half as wide as for a face at rest."""


def local_fit(
    times: Array, values: Array, at: float, sigma: float, trust: Array | None = None
) -> tuple[Array, Array]:
    """Value and slope at one time of a straight line fitted to its neighbourhood.

    Straight motion passes unchanged, whatever the weights and however unevenly the samples lie, so
    there is no lag, and gaps and ends need no special case.
    Args:    times: (N,). values: (N, K). sigma: of the Gaussian weights, in units of time.
             trust: (N,), further weights; None: all alike.
    Returns: value (K,), slope (K,) per unit of time.
    """
    offset = times - at
    # In a gap both of its sides must count, however narrow the window.
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
    """Slopes as `local_fit` has them, at several times at once; (M, K)."""
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
    # Weights about their mean: what all values have in common falls out, and is best left out.
    slopes: Array = np.where(
        spread < 1e-9, 0.0, pull @ (values - values[0]) / np.maximum(spread, 1e-9)
    )
    return slopes


def bandwidth(times: Array, points: Array, at: float, size: float) -> float:
    """Sigma in frames that suits a face's speed: wide at rest, next to nothing when it is fast.

    Args: points: (N, 2 P), in pixels. size: of the face in pixels.
    """
    # A face that turns round is at rest for one frame only: its speed is that about it.
    slopes = _slopes(times, points, at + np.array([-2.0, 0.0, 2.0]))
    speed = float(np.hypot(slopes[:, ::2], slopes[:, 1::2]).max()) / size
    sigma = max(_LEAST_SIGMA, _REST_SIGMA / (1 + speed / _HALF_SPEED))
    return sigma / (1 + shake(times, points, at) / size / _HALF_SHAKE)


def shake(times: Array, points: Array, at: float) -> float:
    """How far a face jumps to and fro from frame to frame, in pixels beyond what noise does.

    A shaken camera has no speed on average, and yet neighbouring frames say little of each other.
    """
    shapes = points.reshape(len(points), -1, 2)
    middle = shapes.mean(1)
    near = np.abs(times - at) <= _SHAKE_REACH
    if near.sum() < 3:
        return 0.0
    close = middle[near]
    bends = np.hypot(*(close[2:] - 2 * close[1:-1] + close[:-2]).T) / 2
    extent = float(np.median((shapes.max(1) - shapes.min(1)).max(1)))
    return max(0.0, float(np.median(bends)) - _NOISE_SHAKE * extent)


def smooth(
    times: Array, values: Array, points: Array, at: float, size: float, trust: Array
) -> Array:
    """Values (N, K) at one time, smoothed as much as the points' motion allows; (K,)."""
    return local_fit(times, values, at, bandwidth(times, points, at, size), trust)[0]


@dataclass(slots=True)
class OneEuro:
    """Smoothing that looks back only: a low-pass whose cutoff rises with speed.

    Source: Casiez, Roussel, Vogel, "1 Euro filter", CHI 2012; time is counted in frames.
    """

    least_cutoff: float = 0.04
    """At rest, cycles a frame."""
    per_speed: float = 20.0
    """Added cutoff for each face size a frame."""
    _latest: Array | None = None
    _value: Array | None = None
    _slope: Array | None = None

    def __call__(self, value: Array, size: float) -> Array:
        """Filter the next value, (K,), of a face of `size` pixels."""
        before, self._latest = self._latest, value
        if before is None or self._value is None or self._slope is None:
            self._value, self._slope = value, np.zeros_like(value)
            return value
        self._slope = self._slope + _gain(_SPEED_CUTOFF) * (value - before - self._slope)
        # The noise of a resting face is not motion.
        speed = max(0.0, float(np.abs(self._slope).max()) / size - _NOISE_SPEED)
        gain = _gain(self.least_cutoff + self.per_speed * speed)
        self._value = self._value + gain * (value - self._value)
        return self._value


def _gain(cutoff: float) -> float:
    """Of a first-order low-pass, for a cutoff in cycles a sample."""
    return float(1 - np.exp(-2 * np.pi * cutoff))


def fade_out(at: int, last: int, horizon: int, lookahead: int) -> float:
    """Most presence a face may have that was last seen at `last`; 0 to 1.

    Args: horizon: latest frame looked at; a face still seen there is not about to go.
          lookahead: frames known ahead: with enough of them the face is gone by `last`, otherwise
          it fades after.
    """
    if last >= horizon:
        return 1.0
    left = last + max(0, RAMP - lookahead) - at + 1
    return float(np.clip(left / (RAMP + 1), 0, 1))


def step(low: float, high: float, value: float) -> float:
    """0 below `low`, 1 above `high`, smooth between."""
    t = float(np.clip((value - low) / (high - low), 0, 1))
    return t * t * (3 - 2 * t)
