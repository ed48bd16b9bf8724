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

from crsr_video.imaging.chips import CHIP, chip_from_crop

__all__ = ["CHIP", "Embedding", "Recogniser", "chip_from_crop", "cosine", "recogniser"]

Embedding = NDArray[np.float64]
Recogniser = Callable[[NDArray[np.uint8], NDArray[np.uint8]], tuple[Embedding, Embedding]]
"""Maps two chips, uint8 RGB of shape (CHIP, CHIP, 3), to their embeddings of shape (128,)."""

_MODEL = "dlib_face_recognition_resnet_model_v1.dat"


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
