"""Measure how much detail, noise and blocking a face has in its frame."""

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging import geometry
from crsr_video.imaging.colour import LUMA_WEIGHTS
from crsr_video.imaging.noise import deviation, power_beyond
from crsr_video.imaging.resampling import sample
from crsr_video.imaging.warping import warp
from crsr_video.types import Face, Frame

_LEAST_PROBE, LARGEST_PROBE = 32, 512
"""Least and largest side, in pixels, of the crop in which detail is measured."""

_DETAIL_LEVEL = 0.006
"""RMS of luma (1 is white) below which lost detail is not noticed: about 1.5 8-bit codes."""

_BLOCK = 8
"""Side of the blocks of JPEG, MPEG and most other codecs, in samples."""

_LUMA = np.array(LUMA_WEIGHTS, np.float32)


def measure(frame: Frame, face: Face, native: float) -> tuple[float, float]:
    """Return the pixels per side that hold the face's detail, and the RMS of its finest noise."""
    side = int(np.clip(round(native), _LEAST_PROBE, LARGEST_PROBE))
    matrix = geometry.crop_from_frame(face.landmarks, side, float(frame.sample_aspect))
    luma = sample(frame, matrix, side, side) @ _LUMA
    return detail_side(luma), lost_at(luma, round(side / np.sqrt(2)))[1]


def detail_side(picture: NDArray[np.float32]) -> float:
    """Return how many pixels per side are enough to hold the detail in a crop.

    The crop is shrunk and enlarged again to ever smaller sizes, until detail is lost.

    Args:
        picture: float32 (S, S), luma in [0, 1].

    Returns:
        Pixels per side, at most S.
    """
    kept, level_before = float(picture.shape[0]), 0.0
    while kept > _LEAST_PROBE / 2:
        smaller = kept / np.sqrt(2)
        level, _ = lost_at(picture, round(smaller))
        if level > _DETAIL_LEVEL:
            # Between two sizes, the border lies where the loss crosses the level.
            share = (_DETAIL_LEVEL - level_before) / (level - level_before)
            return float(kept * (smaller / kept) ** share)
        kept, level_before = smaller, level
    return kept


def lost_at(picture: NDArray[np.float32], size: int) -> tuple[float, float]:
    """Return the detail and the noise that a crop loses when it is shrunk to `size`.

    Both are RMS of luma. Detail is the part of the loss that noise does not explain.
    """
    side = picture.shape[0]
    inner = slice(round(0.2 * side), round(0.9 * side))
    lost = np.abs(picture - _shrunk_and_enlarged(picture, size))[inner, inner]
    noise = deviation(float(np.median(lost)))
    power = power_beyond(float(np.mean(lost**2)), noise)
    return float(np.sqrt(max(power, 0.0))), noise


def _shrunk_and_enlarged(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    side = picture.shape[0]
    small = warp(picture, geometry.resize_matrix(size / side), size, size)
    back: NDArray[np.float32] = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    return back


def block_steps(frame: Frame, box: tuple[float, float, float, float]) -> float:
    """Return how much higher the steps at block borders are than those elsewhere in a face.

    Args:
        frame: The frame.
        box: x0, y0, x1, y1 of the face in frame pixels.

    Returns:
        Mean over both directions, where 1 is white, or 0 if the face is less than four blocks wide
        or high.
    """
    plane = frame.components[1 if frame.layout.family == "rgb" else 0]
    height, width = plane.shape
    x0, x1 = (int(np.clip(v, 0, width)) // _BLOCK * _BLOCK for v in box[::2])
    y0, y1 = (int(np.clip(v, 0, height)) // _BLOCK * _BLOCK for v in box[1::2])
    if min(x1 - x0, y1 - y0) < 4 * _BLOCK:
        return 0.0
    samples = plane[y0:y1, x0:x1].astype(np.float32)
    steps = [_block_step(samples), _block_step(samples.T)]
    return float(np.mean(steps) / ((1 << frame.layout.bits) - 1))


def _block_step(samples: NDArray[np.float32]) -> float:
    """Return the mean excess of the steps between horizontally neighbouring blocks."""
    steps = np.abs(np.diff(samples, axis=1)).mean(0)
    # A step is compared with those next to it, so that edges of the face count on both sides.
    excess = steps[1:-1] - 0.5 * (steps[:-2] + steps[2:])
    return float(excess[_BLOCK - 2 :: _BLOCK].mean())
