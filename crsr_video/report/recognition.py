"""Face recognition with dlib's network, if it is installed.

The network is dlib's `dlib_face_recognition_resnet_model_v1` (Davis King, weights in the public
domain, CC0). It maps a face to 128 numbers that are similar for pictures of the same person.
"""

from collections.abc import Callable
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Matrix, similarity

Embedding = NDArray[np.float64]
Recogniser = Callable[[NDArray[np.uint8], NDArray[np.uint8]], tuple[Embedding, Embedding]]
"""Maps two chips, uint8 RGB of shape (CHIP, CHIP, 3), to their embeddings of shape (128,)."""

CHIP = 150
"""Side of the network's input in pixels."""
_MODEL = "dlib_face_recognition_resnet_model_v1.dat"

# dlib aligns a face by five points: the corners of both eyes and the base of the nose. These are
# their positions as fractions of a chip without padding (dlib, image_transforms/interpolation.h,
# get_face_chip_details). A padding of 0.25 on each side turns u into (u + 0.25) / 1.5.
_CHIP_POINTS = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
_PADDING = 0.25
# Positions of the same points in canonical crops, as fractions of the side: the mean of dlib's own
# predictor (shape_predictor_5_face_landmarks) over 57 photographs, made symmetric.
_CROP_POINTS = np.array(
    [[0.663, 0.484], [0.571, 0.488], [0.337, 0.484], [0.429, 0.488], [0.500, 0.663]]
)


def chip_from_crop(size: int = 1, scale: float = 1.0, dy: float = 0.0) -> Matrix:
    """Return the 2x3 transform from the pixels of a picture to those of the network's input.

    One transform serves every face, because crops are already aligned.

    Args:
        size: Side of the picture in pixels.
        scale: Side of the picture in sides of the canonical crop.
        dy: Distance of its centre below the centre of the crop, in sides of the crop.
    """
    corner = np.array([0.5, 0.5 + dy]) - scale / 2
    points = (_CROP_POINTS - corner) / scale
    chip = (_CHIP_POINTS + _PADDING) / (1 + 2 * _PADDING) * CHIP
    return similarity(points * size - 0.5, chip)


def model_file() -> Path | None:
    """Return the path of the installed weights, or None."""
    # The package is only located: importing it needs setuptools.
    found = util.find_spec("face_recognition_models")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "models" / _MODEL


def recogniser() -> Recogniser | None:
    """Load the network, or return None if it is not installed or cannot be read."""
    path = model_file()
    if path is None:
        return None
    try:
        network: Any = import_module("dlib").face_recognition_model_v1(str(path))
    except (ImportError, RuntimeError):
        return None

    def recognise(
        before: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> tuple[Embedding, Embedding]:
        one, other = network.compute_face_descriptor([before, after])
        return np.array(one), np.array(other)

    return recognise


def cosine(a: Embedding, b: Embedding) -> float:
    """Return the cosine similarity of two embeddings.

    Embeddings of this network have similar directions: two strangers reach about 0.85, two
    photographs of the same person 0.95.
    """
    return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)
