"""Crops of a face to feed the networks with."""

from functools import lru_cache
from importlib import resources
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]

_FACE = (164.0, 112.0, 100.0)
"""Centre of the sample face in its picture and half of what is shown of it, pixels."""


def pictures(count: int, side: int) -> Images:
    """Crops of a face, each turned, shifted, lit and noisy in its own way.

    Returns: float32 (N, 3, S, S), RGB, [0, 1]; the same every time.
    """
    rng = np.random.default_rng(5)
    x, y, half = _FACE
    drawn = []
    for _ in range(count):
        scale = side / (2 * half) * rng.uniform(0.95, 1.05)
        matrix = cv2.getRotationMatrix2D((x, y), rng.uniform(-8, 8), scale)
        matrix[:, 2] += (side - 1) / 2 - np.array([x, y]) + rng.uniform(-1, 1, 2)
        drawn.append(cv2.warpAffine(_sample(), matrix, (side, side), flags=cv2.INTER_LINEAR))
    faces = np.stack(drawn).transpose(0, 3, 1, 2) * rng.uniform(0.7, 1.1, (count, 1, 1, 1))
    noisy = faces + rng.normal(0, 0.01, faces.shape)
    return np.ascontiguousarray(noisy.clip(0, 1), np.float32)


@lru_cache(maxsize=1)
def _sample() -> Images:
    """The sample clip's face, soft as it is there: (H, W, 3), RGB, [0, 1]."""
    data = resources.files("crsr_video.bench").joinpath("face.jpg").read_bytes()
    sharp: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    soft = cv2.GaussianBlur(sharp, (0, 0), 1.2)[..., ::-1]
    return np.ascontiguousarray(soft, np.float32) / np.float32(255)
