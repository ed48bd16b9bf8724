"""Conversion between code values and RGB: the only module that knows YUV matrices and ranges.

Most functions work on float32 arrays whose last axis holds the components. The components must
already be sampled on a common grid; `geometry` knows where samples lie. RGB here means the
non-linear R'G'B' that the video carries. Networks were trained on such pictures, and transfer
functions, including PQ and HLG, are never applied or undone.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crsr_video.types import PixelLayout

FloatArray = NDArray[np.float32]

MATRICES: dict[str, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
"""Luma weights (Kr, Kb) of the non-constant-luminance matrices of ITU-T H.273, table 4."""

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""BT.601 weights of red, green and blue, for luma used in measurements and never in a frame."""

MATRIX_CODES: dict[str, int] = {"bt709": 1, "fcc": 4, "bt601": 5, "smpte240m": 7, "bt2020": 9}
"""matrix_coefficients codes of H.273 by name. FFmpeg uses the same codes."""

_NAMES = {code: name for name, code in MATRIX_CODES.items()} | {6: "bt601"}


@lru_cache(maxsize=32)
def rgb_from_codes(layout: PixelLayout) -> tuple[FloatArray, FloatArray]:
    """Return the affine map from code values to RGB in [0, 1].

    Returns:
        A (3, C) matrix M and a (C,) offset o, with rgb = M @ (codes - o). C is 1 for gray, else 3.
    """
    top = 2.0**layout.bits - 1
    unit = 2.0 ** (layout.bits - 8)
    if layout.full_range or layout.family == "rgb":
        luma_low, luma_span, chroma_span = 0.0, top, top
    else:
        luma_low, luma_span, chroma_span = 16 * unit, 219 * unit, 224 * unit
    if layout.family == "gray":
        return np.full((3, 1), 1 / luma_span, np.float32), np.array([luma_low], np.float32)
    if layout.family == "rgb":
        return (np.eye(3) / luma_span).astype(np.float32), np.zeros(3, np.float32)
    kr, kb = MATRICES[layout.matrix]
    kg = 1 - kr - kb
    # Y = kr R + kg G + kb B, Cb = (B - Y) / (2 (1 - kb)), Cr = (R - Y) / (2 (1 - kr)).
    # The matrix is the solution of these equations for R, G and B.
    rgb_from_ycc = np.array(
        [
            [1.0, 0.0, 2 * (1 - kr)],
            [1.0, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
            [1.0, 2 * (1 - kb), 0.0],
        ]
    )
    spans = np.array([luma_span, chroma_span, chroma_span])
    middle = 128 * unit
    return (rgb_from_ycc / spans).astype(np.float32), np.array(
        [luma_low, middle, middle], np.float32
    )


@lru_cache(maxsize=32)
def codes_from_rgb(layout: PixelLayout) -> FloatArray:
    """Return the (C, 3) matrix M that maps RGB differences to code differences: codes = M @ rgb."""
    matrix, _ = rgb_from_codes(layout)
    if layout.family == "gray":
        # A correction in colour changes a grey frame by its luma (BT.709 weights).
        kr, kb = MATRICES["bt709"]
        luma: FloatArray = np.array([[kr, 1 - kr - kb, kb]], np.float32) / matrix[0, 0]
        return luma
    return np.linalg.inv(matrix.astype(np.float64)).astype(np.float32)


def to_rgb(codes: FloatArray, layout: PixelLayout) -> FloatArray:
    """Convert code values (..., C) to RGB (..., 3), without clipping illegal codes to [0, 1]."""
    matrix, offset = rgb_from_codes(layout)
    return ((codes - offset) @ matrix.T).astype(np.float32, copy=False)


def luma_of(planes: Sequence[FloatArray], layout: PixelLayout) -> FloatArray:
    """Return luma clipped to [0, 1]: the video's own luma, or BT.709 luma of an RGB picture.

    Args:
        planes: Code values: the first component alone, or all three of RGB in equal shapes.
        layout: Pixel layout of the frame that the planes belong to.
    """
    matrix, offset = rgb_from_codes(layout)
    kr, kb = MATRICES["bt709"]
    weights = (kr, 1 - kr - kb, kb) if layout.family == "rgb" else (1.0,)
    # Without chroma, red, green and blue all equal luma, so any row of the matrix gives its scale.
    shares = [weight * (plane - offset[0]) for weight, plane in zip(weights, planes, strict=True)]
    luma: FloatArray = np.clip(matrix[0, 0] * sum(shares), 0, 1, dtype=np.float32)
    return luma


def to_codes(rgb: FloatArray, layout: PixelLayout) -> FloatArray:
    """Convert RGB (..., 3) to code values (..., C), neither rounded nor clipped."""
    codes: FloatArray = delta_to_codes(rgb, layout) + rgb_from_codes(layout)[1]
    return codes


def delta_to_codes(delta: FloatArray, layout: PixelLayout) -> FloatArray:
    """Convert a change of RGB (..., 3) to the corresponding change of code values (..., C)."""
    codes: FloatArray = delta @ codes_from_rgb(layout).T
    return codes


def matrix_name(tag: int, width: int, height: int) -> str:
    """Return the name in `MATRICES` of a matrix_coefficients code of H.273.

    If the code is "unspecified" (2) or unknown, the size decides, as it does in players: standard
    definition is BT.601, and everything larger is BT.709.
    """
    small = height < 720 and width < 1280
    return _NAMES.get(tag, "bt601" if small else "bt709")
