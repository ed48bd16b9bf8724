"""How much of the power of fine detail is noise."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Values = TypeVar("Values", float, NDArray[np.float64])

_DEVIATION_PER_MEDIAN = 1.4826
"""Standard deviation of a normal distribution over the median of its absolute values."""

_NOISE_TOLERANCE = 1.35
"""Noise power counts this many times, since codecs and cameras make noise a little spiky."""


def deviation(median: Values) -> Values:
    """Estimate the standard deviation of noise from the median of absolute fine detail.

    Detail sits on few pixels (edges) and noise on all of them, so the median, which few pixels do
    not move, measures the noise.
    """
    return _DEVIATION_PER_MEDIAN * median


def power_beyond(power: Values, noise: Values) -> Values:
    """Return the part of `power` that noise of the deviation `noise` does not explain.

    The result is negative where the noise explains more than there is.
    """
    return power - _NOISE_TOLERANCE * noise**2
