"""Resizing and blurring as matrices: rows of the result from rows of the picture.

All that OpenCV does to a crop along one axis is linear, so it is asked once what it makes of each
single pixel. The products are float32 and nothing else: convolutions of float32 on a GPU may be
rounded to eleven bits, and twelve-bit video would show it.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.imaging.likeness import there_and_back

FloatPicture = NDArray[np.float32]


def both(operator: Tensor, picture: Tensor) -> Tensor:
    """Along rows and columns alike: (..., H, H) to (..., M, M) for an operator (M, H)."""
    return operator @ picture @ operator.mT


@lru_cache(maxsize=64)
def cubic(size: int, target: int, device: torch.device) -> Tensor:
    """Cubic resizing, (target, size)."""
    return _resizing(size, target, cv2.INTER_CUBIC, device)


@lru_cache(maxsize=64)
def linear(size: int, target: int, device: torch.device) -> Tensor:
    """Linear resizing, (target, size)."""
    return _resizing(size, target, cv2.INTER_LINEAR, device)


@lru_cache(maxsize=64)
def area(size: int, target: int, device: torch.device) -> Tensor:
    """Shrinking by averages, (target, size)."""
    return _resizing(size, target, cv2.INTER_AREA, device)


@lru_cache(maxsize=64)
def gaussian(size: int, deviation: float, device: torch.device) -> Tensor:
    """Blurring, mirrored at the border as OpenCV does by default; (size, size)."""
    reach = round(deviation * 8 + 1) | 1  # OpenCV's own choice for float pictures.
    return _of(size, lambda eye: cv2.GaussianBlur(eye, (1, reach), 1.0, sigmaY=deviation), device)


@lru_cache(maxsize=64)
def box(size: int, device: torch.device) -> Tensor:
    """The mean of three, the border replicated; (size, size)."""
    return _filtering(size, np.full(3, 1 / 3, np.float32), device)


@lru_cache(maxsize=64)
def enlarged_and_shrunk(size: int, factor: int, device: torch.device) -> Tensor:
    """What a cubic enlargement and an average amount to; (size, size)."""
    return _filtering(size, there_and_back(factor), device)


def _resizing(size: int, target: int, kernel: int, device: torch.device) -> Tensor:
    return _of(size, lambda eye: cv2.resize(eye, (size, target), interpolation=kernel), device)


def _filtering(size: int, kernel: FloatPicture, device: torch.device) -> Tensor:
    one = np.ones(1, np.float32)
    replicated = cv2.BORDER_REPLICATE
    return _of(
        size, lambda eye: cv2.sepFilter2D(eye, -1, one, kernel, borderType=replicated), device
    )


@torch.inference_mode(mode=False)
def _of(
    size: int, vertical: Callable[[FloatPicture], FloatPicture], device: torch.device
) -> Tensor:
    """The matrix of a linear map that leaves columns apart."""
    return torch.from_numpy(vertical(np.eye(size, dtype=np.float32))).to(device)
