"""Estimates how much of the power of fine detail is noise."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Values = TypeVar("Values", float, NDArray[np.float64])

_DEVIATION_PER_MEDIAN = 1.4826
"""Standard deviation of a normal distribution divided by the median of its absolute values."""

_NOISE_TOLERANCE = 1.35
"""Factor on the noise power. Noise of codecs and cameras has slightly more outliers than a normal
distribution."""


def deviation(median: Values) -> Values:
    """Estimate the standard deviation of noise from the median of absolute fine detail.

    Detail is found in few pixels (edges) and noise in all of them. A few pixels do not change the
    median, so the median measures the noise.
    """
    return _DEVIATION_PER_MEDIAN * median


def power_beyond(power: Values, noise: Values) -> Values:
    """Return the part of `power` that noise of the standard deviation `noise` does not explain.

    The result is negative where the noise would explain more power than there is.
    """
    return power - _NOISE_TOLERANCE * noise**2
