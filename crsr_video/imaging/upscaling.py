"""Enlarge whole pictures, for the background of a result that is larger than its source.

The default is Lanczos over eight samples with limited ringing: a result may lie beyond the
brightest or below the darkest of the four nearest samples by a tenth of their contrast at most. On
video frames and photographs that were shrunk to half their size and enlarged again, the result was
0.3 dB better than that of a cubic kernel, and had a third of its overshoot. With a factor of four,
it was 0.1 dB better.

Any other method can be given as a function; see `types.Upscaler`.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import ConfigError
from crsr_video.imaging.colour import to_codes
from crsr_video.imaging.geometry import Matrix, compose, invert, resize_matrix
from crsr_video.imaging.resampling import enlarged_size, plane_from_frame, sample
from crsr_video.imaging.warping import warp
from crsr_video.types import Frame, Plane, Upscaler

_RINGING = 10
"""A result may lie beyond the nearest samples by at most their contrast divided by this number."""


def enlarge(frame: Frame, scale: int, upscaler: str | Upscaler = "lanczos") -> Frame:
    """Return the frame at `scale` times its size, in its own format and depth.

    Chroma keeps its siting: a co-sited sample stays on the first luma sample of its group.

    Args:
        frame: The frame.
        scale: 1, 2 or 4.
        upscaler: A name in `FILTERS`, or a function.

    Raises:
        ConfigError: There is no filter of that name, or the function returns another size.
    """
    if scale == 1:
        return frame
    if callable(upscaler):
        return frame.with_components(_by_function(frame, scale, upscaler))
    if upscaler not in FILTERS:
        raise ConfigError(f"there is no upscaler {upscaler!r}, only {', '.join(FILTERS)}")
    planes = tuple(
        _by_filter(frame, index, scale, FILTERS[upscaler]) for index in range(len(frame.components))
    )
    return frame.with_components(planes)


def enlarge_plane(plane: Plane, scale: int) -> Plane:
    """Enlarge one plane of samples, such as alpha, with the default filter and aligned edges."""
    height, width = plane.shape
    return _lanczos(plane, resize_matrix(scale), (width * scale, height * scale))


def _by_filter(
    frame: Frame, component: int, scale: int, resample: "Callable[[Plane, Matrix, Any], Plane]"
) -> Plane:
    plane: Any = np.ascontiguousarray(frame.components[component])
    height, width = enlarged_size(frame, component, scale)
    sited = plane_from_frame(frame.layout, component)
    matrix = compose(compose(sited, resize_matrix(scale)), invert(sited))
    large = resample(plane, matrix, (width, height))
    # Overshoot is clipped to the range of the data type, which may exceed that of the bit depth.
    top = 2**frame.layout.bits - 1
    return np.minimum(large, top, out=large) if top < np.iinfo(large.dtype).max else large


def _cubic(plane: Plane, matrix: Matrix, size: tuple[int, int]) -> Plane:
    """Use Keys' kernel over four samples with OpenCV's a = -3/4."""
    return _warped(plane, matrix, size, cv2.INTER_CUBIC)


def _lanczos(plane: Plane, matrix: Matrix, size: tuple[int, int]) -> Plane:
    """Use Lanczos over eight samples with limited ringing."""
    large = _warped(plane, matrix, size, cv2.INTER_LANCZOS4)
    low, high = _limits(plane)
    rows = _left_of(matrix[1, 1], matrix[1, 2], size[1], plane.shape[0])
    columns = _left_of(matrix[0, 0], matrix[0, 2], size[0], plane.shape[1])
    cv2.max(large, low[rows][:, columns], dst=large)
    cv2.min(large, high[rows][:, columns], dst=large)
    return large


def _warped(plane: Plane, matrix: Matrix, size: tuple[int, int], kernel: int) -> Plane:
    simple = resize_matrix(size[0] / plane.shape[1], size[1] / plane.shape[0])
    large: Plane
    if np.allclose(matrix, simple):  # `resize` is several times faster.
        large = cv2.resize(plane, size, interpolation=kernel)
    else:
        large = cv2.warpAffine(plane, matrix, size, flags=kernel, borderMode=cv2.BORDER_REPLICATE)
    return large


def _limits(plane: Plane) -> tuple[Plane, Plane]:
    """Return the lowest and the highest result among each four samples, (H + 1, W + 1) each."""
    framed = np.pad(plane, 1, mode="edge")
    quads = [
        framed[y : framed.shape[0] - 1 + y, x : framed.shape[1] - 1 + x]
        for y in (0, 1)
        for x in (0, 1)
    ]
    low, high = np.minimum.reduce(quads), np.maximum.reduce(quads)
    slack = (high - low) // _RINGING
    return cv2.subtract(low, slack), cv2.add(high, slack)


def _left_of(factor: float, shift: float, length: int, source: int) -> NDArray[np.intp]:
    """Return the gap between source samples in which each sample of the result lies."""
    places = (np.arange(length) - shift) / factor
    gaps: NDArray[np.intp] = np.clip(np.floor(places).astype(np.intp) + 1, 0, source)
    return gaps


FILTERS: dict[str, Callable[[Plane, Matrix, Any], Plane]] = {"lanczos": _lanczos, "cubic": _cubic}
"""Filters by name. They process each plane separately, in integers of the frame's bit depth."""


def _by_function(frame: Frame, scale: int, upscaler: Upscaler) -> tuple[Plane, ...]:
    small = sample(frame, np.eye(2, 3), frame.width, frame.height)
    large = np.asarray(upscaler(small, scale))
    wanted = (frame.height * scale, frame.width * scale, 3)
    if large.shape != wanted or large.dtype != np.float32:
        raise ConfigError(
            f"the upscaler must return float32 {wanted}, but returned {large.dtype} {large.shape}"
        )
    codes = to_codes(large, frame.layout)
    top = 2**frame.layout.bits - 1
    planes: list[Plane] = []
    for index, old in enumerate(frame.components):
        height, width = enlarged_size(frame, index, scale)
        whole = np.ascontiguousarray(codes[..., index])
        plane = warp(whole, plane_from_frame(frame.layout, index), width, height)
        rounded: Any = np.clip(np.rint(plane), 0, top).astype(old.dtype)
        planes.append(rounded)
    return tuple(planes)
