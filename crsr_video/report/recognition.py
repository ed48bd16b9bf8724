"""Whose face it is, if dlib's face-recognition network is installed.

The network is dlib's `dlib_face_recognition_resnet_model_v1` (Davis King, weights in the public
domain, CC0): 128 numbers for a face, close together for pictures of one person.
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
"""Takes two chips, uint8 (CHIP, CHIP, 3) RGB; returns what tells people apart, (128,) each."""

CHIP = 150
"""Side of the network's input, pixels."""
_MODEL = "dlib_face_recognition_resnet_model_v1.dat"

# dlib aligns a face by five points: corners of the eyes, and where the nose meets the lip. Where
# it wants them, as fractions of a chip without padding (dlib, image_transforms/interpolation.h,
# get_face_chip_details); 0.25 of padding on each side turns u into (u + 0.25) / 1.5.
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
# Where dlib's own predictor (shape_predictor_5_face_landmarks) finds the same points in canonical
# crops, as fractions of the side: the mean over 57 photographs, made symmetric.
_CROP_POINTS = np.array(
    [[0.663, 0.484], [0.571, 0.488], [0.337, 0.484], [0.429, 0.488], [0.500, 0.663]]
)


def chip_from_crop(size: int = 1, scale: float = 1.0, dy: float = 0.0) -> Matrix:
    """Pixels of the network's input from those of a picture of `size` pixels a side; 2x3.

    One transform serves every face, because the crops are aligned already.
    Args: scale: side of the picture in sides of the canonical crop.
          dy: how far its middle lies below the crop's, likewise.
    """
    corner = np.array([0.5, 0.5 + dy]) - scale / 2
    points = (_CROP_POINTS - corner) / scale
    chip = (_CHIP_POINTS + _PADDING) / (1 + 2 * _PADDING) * CHIP
    return similarity(points * size - 0.5, chip)


def model_file() -> Path | None:
    """Where the weights lie. Only looked up: importing their package needs setuptools."""
    found = util.find_spec("face_recognition_models")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "models" / _MODEL


def recogniser() -> Recogniser | None:
    """The network; None: it is not installed, or cannot be read."""
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
    """Likeness of two embeddings, 1 for the same direction.

    Those of this network point much the same way: strangers have about 0.85 in common, the same
    person in two photographs 0.95.
    """
    return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)
