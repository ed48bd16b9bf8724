"""Pixel coordinates: similarity transforms, canonical crops and all rules for half pixels.

The whole project follows one convention. Points are (x, y), and pixel centres lie at integers, so
an image of width W covers [-0.5, W - 0.5]. A transform is a 2x3 float64 matrix A with
``y = A @ [x, 1]``, and its name has the form ``target_from_source``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crsr_video.errors import DegenerateFaceError

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]

FACE_WIDTHS_PER_CROP = 1.9
"""Side of a canonical crop in face widths. Hair, ears and chin fit into it, but not shoulders."""

TEMPLATE: Points = np.array(
    [[0.378, 0.470], [0.622, 0.470], [0.500, 0.619], [0.392, 0.724], [0.608, 0.724]]
)
"""The canonical face: right eye (image left), left eye, nose tip, right and left mouth corner,
as fractions of the crop side. It is the mean shape of the training faces, made symmetric."""

_FARTHEST = 1e9
"""Largest coordinate of landmarks in pixels. Larger ones count as infinite, because their squares
may overflow."""


def canonical_landmarks(size: int) -> Points:
    """Return the pixel positions of `TEMPLATE` in a crop of `size` pixels; (5, 2)."""
    # A fraction u of the side lies at pixel u * size - 0.5, since the crop begins at -0.5.
    return TEMPLATE * size - 0.5


def compose(outer: ArrayLike, inner: ArrayLike) -> Matrix:
    """Return the transform that applies `inner` first, then `outer`; 2x3."""
    (a, b, c), (d, e, f) = _rows(outer)
    (p, q, r), (s, t, u) = _rows(inner)
    return np.array(
        [
            [a * p + b * s, a * q + b * t, a * r + b * u + c],
            [d * p + e * s, d * q + e * t, d * r + e * u + f],
        ]
    )


def invert(matrix: ArrayLike) -> Matrix:
    """Return the inverse transform; 2x3.

    Raises:
        DegenerateFaceError: The matrix is singular.
    """
    (a, b, c), (d, e, f) = _rows(matrix)
    area = a * e - b * d
    if not abs(area) >= 1e-12:  # The condition is true for NaN.
        raise DegenerateFaceError("transform is singular")
    p, q, s, t = e / area, -b / area, -d / area, a / area
    return np.array([[p, q, -p * c - q * f], [s, t, -s * c - t * f]])


def _rows(matrix: ArrayLike) -> list[list[float]]:
    """Return a 2x3 matrix as Python numbers, several times faster than such a small array."""
    rows: list[list[float]] = np.asarray(matrix, np.float64).tolist()
    return rows


def apply(matrix: ArrayLike, points: ArrayLike) -> Points:
    """Transform (N, 2) points."""
    m = np.asarray(matrix, np.float64)
    moved: Points = np.asarray(points, np.float64) @ m[:, :2].T + m[:, 2]
    return moved


def resize_matrix(x_factor: float, y_factor: float | None = None) -> Matrix:
    """Return the transform from an image to a copy that is resized by a factor; 2x3.

    The edges of both images coincide: -0.5 maps to -0.5, hence the offset (factor - 1) / 2.
    """
    fx, fy = x_factor, x_factor if y_factor is None else y_factor
    return np.array([[fx, 0.0, (fx - 1) / 2], [0.0, fy, (fy - 1) / 2]])


def enlarged_crop_matrix(crop_from_frame: ArrayLike, factor: float) -> Matrix:
    """Return the transform from a frame to a crop that was enlarged by a factor; 2x3."""
    return compose(resize_matrix(factor), crop_from_frame)


def chroma_matrix(x_shift: int, y_shift: int, x_cosited: bool, y_cosited: bool) -> Matrix:
    """Return the transform from the luma plane to a subsampled plane; 2x3.

    Args:
        x_shift: log2 of the horizontal subsampling, 1 for 4:2:0.
        y_shift: log2 of the vertical subsampling, 1 for 4:2:0.
        x_cosited: Whether samples lie on the first luma column of their group, as with the siting
            "left" of MPEG-2. Otherwise they lie in the middle.
        y_cosited: Whether samples lie on the first luma row of their group. Otherwise they lie in
            the middle.
    """
    fx, fy = 2.0**-x_shift, 2.0**-y_shift
    tx = 0.0 if x_cosited else (fx - 1) / 2
    ty = 0.0 if y_cosited else (fy - 1) / 2
    return np.array([[fx, 0.0, tx], [0.0, fy, ty]])


def scale_of(matrix: ArrayLike) -> float:
    """Return the mean enlargement of a transform: the square root of its area change."""
    (a, b, _), (c, d, _) = _rows(matrix)
    return float(abs(a * d - b * c) ** 0.5)


def similarity(source: ArrayLike, target: ArrayLike) -> Matrix:
    """Return the least-squares rotation, uniform scale and shift from `source` to `target`; 2x3.

    Let z and w be the points as complex numbers, relative to their means. The best factor c in
    w = c z is sum(conj(z) w) / sum(|z|^2). The scale is |c|, the rotation is the angle of c, and
    no reflection can occur.

    Raises:
        DegenerateFaceError: Points coincide, or are not finite.
    """
    s, t = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if not (np.abs(s) < _FARTHEST).all() or not (np.abs(t) < _FARTHEST).all():  # false for NaN
        raise DegenerateFaceError("landmarks coincide or are not finite")
    z = (s - s.mean(0)) @ np.array([1, 1j])
    w = (t - t.mean(0)) @ np.array([1, 1j])
    power = float(np.sum(np.abs(z) ** 2))
    if power < 1e-9:
        raise DegenerateFaceError("landmarks coincide or are not finite")
    c = np.sum(np.conj(z) * w) / power
    if abs(c) < 1e-9:
        raise DegenerateFaceError("landmarks do not resemble a face")
    linear = np.array([[c.real, -c.imag], [c.imag, c.real]])
    return np.hstack([linear, (t.mean(0) - linear @ s.mean(0))[:, None]])


def crop_from_frame(landmarks: ArrayLike, size: int, sample_aspect: float = 1.0) -> Matrix:
    """Return the transform that aligns a face: from the frame to the canonical crop; 2x3.

    Args:
        landmarks: (5, 2) in frame pixels, in the order of `TEMPLATE`.
        size: Side of the crop in pixels.
        sample_aspect: Width of a frame pixel over its height; the crop has square pixels.

    Raises:
        DegenerateFaceError: Points coincide, or are not finite.
    """
    points = np.asarray(landmarks, np.float64)
    if not (np.abs(points) < _FARTHEST).all():  # false for NaN
        raise DegenerateFaceError("landmarks are not finite")
    square_from_frame = resize_matrix(sample_aspect, 1.0)
    square = apply(square_from_frame, points)
    return compose(similarity(square, canonical_landmarks(size)), square_from_frame)


def crop_side(landmarks: ArrayLike, sample_aspect: float = 1.0) -> float:
    """Return the native size of a face: the side of its canonical crop in rows of the frame."""
    return (
        1.0 / scale_of(crop_from_frame(landmarks, 1, sample_aspect)) * float(np.sqrt(sample_aspect))
    )


def nose_offset(landmarks: NDArray[np.float64]) -> float:
    """Return the distance of the nose from the middle between the eyes, in eye distances.

    The offset is measured along the line between the eyes, so it is 0 for a frontal face.
    """
    eyes = landmarks[1] - landmarks[0]
    middle = landmarks[:2].mean(0)
    return abs(float((landmarks[2] - middle) @ eyes)) / float(eyes @ eyes)


def face_width(landmarks: ArrayLike, sample_aspect: float = 1.0) -> float:
    """Return the width of a face, in rows of the frame, computed from its landmarks.

    Args:
        landmarks: (5, 2) in frame pixels.
        sample_aspect: Width of a frame pixel over its height.

    Returns:
        The width, or 0 if the landmarks coincide or are not finite.
    """
    try:
        return crop_side(landmarks, sample_aspect) / FACE_WIDTHS_PER_CROP
    except DegenerateFaceError:
        return 0.0


def bounds(matrix: ArrayLike, size: int) -> tuple[float, float, float, float]:
    """Return the bounding box (x0, y0, x1, y1) of a crop of `size` that is mapped by `matrix`."""
    low, high = -0.5, size - 0.5
    ends = []
    for a, b, c in _rows(matrix):
        # The smallest and largest sums are the sums of the smallest and largest terms.
        spans = [sorted((k * low, k * high)) for k in (a, b)]
        ends.append([c + spans[0][i] + spans[1][i] for i in (0, 1)])
    (x0, x1), (y0, y1) = ends
    return x0, y0, x1, y1


def intersection_over_union(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of boxes (N, 4) with boxes (M, 4) as (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (a, b)]
    overlap: NDArray[np.float64] = shared / (areas[0][:, None] + areas[1][None] - shared + 1e-9)
    return overlap
