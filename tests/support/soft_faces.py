"""A real face of any size and sharpness, and pictures of lines, for tests of alignment."""

import cv2
import numpy as np
from skimage.data import astronaut

from crsr_video.imaging.geometry import (
    apply,
    compose,
    crop_from_frame,
    crop_side,
    resize_matrix,
)
from crsr_video.imaging.warping import warp
from crsr_video.io.pictures import from_rgb

# Read off the picture, which comes with scikit-image.
LANDMARKS = np.array([[202.5, 101.7], [247, 103.5], [225, 124.5], [205, 140.7], [243, 143]])


def portrait(side, detail=None, noise=0.0):
    """Return a frame with a real face whose crop is `side` pixels wide, and its landmarks.

    Args: detail: pixels a side that it was shrunk to before; None: as sharp as it can be.
    """
    scale = side / crop_side(LANDMARKS)
    shift = np.array([[1.0, 0, -85], [0, 1, 0]])
    matrix = compose(resize_matrix(scale), shift)
    width, height = round(280 * scale), round(250 * scale)
    if detail is None:
        picture = warp(astronaut(), matrix, width, height)
    else:
        small = detail / crop_side(LANDMARKS)
        small_matrix = compose(resize_matrix(small), shift)
        shrunk = warp(astronaut(), small_matrix, round(280 * small), round(250 * small))
        picture = warp(shrunk, resize_matrix(side / detail), width, height)
    if noise:
        picture += np.random.default_rng(1).normal(0, 255 * noise, picture.shape)
    frame = from_rgb(np.clip(picture + 0.5, 0, 255).astype(np.uint8), 0)
    return frame, apply(matrix, LANDMARKS)


def luma_crop(side, detail=None, noise=0.0):
    """Return the luma of the face's crop with unrounded values, for `detail_side`."""
    picture = warp(astronaut(), crop_from_frame(LANDMARKS, side), side, side)
    luma = picture @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    if detail is not None:
        small = warp(luma, resize_matrix(detail / side), detail, detail)
        luma = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    return (luma + np.random.default_rng(1).normal(0, noise, luma.shape)).astype(np.float32)


def strokes(side, seed=4):
    """Return a picture of thin sharp lines, as detailed as its size allows."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side), 0.5, np.float32)
    for line in rng.integers(0, side, (side // 8, 4)).tolist():
        cv2.line(picture, tuple(line[:2]), tuple(line[2:]), float(rng.uniform()), 1)
    return picture
