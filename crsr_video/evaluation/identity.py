"""Face embeddings of a recognition network, which show whether two faces are of one person.

The network is dlib's `dlib_face_recognition_resnet_model_v1` (Davis King, weights in the public
domain, CC0). It maps a face to a vector of 128 numbers, and two pictures of one person to vectors
that lie close together. dlib is an optional dependency, because only the evaluation needs it.
"""

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.evaluation.metrics import CANONICAL
from crsr_video.imaging.geometry import Matrix
from crsr_video.imaging.warping import warp
from crsr_video.report import recognition
from crsr_video.report.recognition import CHIP
from crsr_video.training.genuine import Framing

Embeddings = NDArray[np.float64]
Bytes = NDArray[np.uint8]

INSTALL = 'pip install "crsr-video[eval]"'
SAME_PERSON = 0.6
"""According to dlib's documentation, two embeddings less than this far apart show one person."""
USEFUL_CROP_PX = 227
"""Side of a canonical crop that has the scale of the network's input. Larger crops add nothing."""

_BATCH = 16


def chip_from_crop(size: int, framing: Framing = CANONICAL) -> Matrix:
    """Return the 2x3 matrix that maps a crop of `size` pixels to the input of the network."""
    return recognition.chip_from_crop(size, framing.scale, framing.dy)


class Embedder:
    """Computes embeddings with the recognition network, and caches them.

    The cache saves time because an evaluation embeds the same ground truth many times.
    """

    def __init__(self) -> None:
        """Load the network.

        Raises:
            TrainingError: If dlib or its model is not installed, or the model cannot be read.
        """
        try:
            library = import_module("dlib")
        except ImportError as error:
            raise TrainingError(f"dlib is not installed: {INSTALL}") from error
        try:
            self._network: Any = library.face_recognition_model_v1(str(_model_file()))
        except RuntimeError as error:
            raise TrainingError(f"cannot read the face-recognition model: {error}") from error
        self._cache: dict[bytes, Embeddings] = {}

    @property
    def cached_faces(self) -> int:
        """Number of faces in the cache."""
        return len(self._cache)

    def __call__(self, pictures: Tensor, framing: Framing = CANONICAL) -> Embeddings:
        """Return the embeddings (N, 128) of faces (N, 3, S, S) in [0, 1] that share one framing."""
        chips = [chip(picture, framing) for picture in pictures]
        keys = [hashlib.sha256(chip.tobytes()).digest() for chip in chips]
        new = {k: c for k, c in zip(keys, chips, strict=True) if k not in self._cache}
        for first in range(0, len(new), _BATCH):
            part = list(new)[first : first + _BATCH]
            found = self._network.compute_face_descriptor([new[key] for key in part])
            self._cache |= {k: np.array(v) for k, v in zip(part, found, strict=True)}
        return np.stack([self._cache[key] for key in keys])


def _model_file() -> Path:
    found = recognition.model_file()
    if found is None:
        raise TrainingError(f"face_recognition_models is not installed: {INSTALL}")
    return found


def chip(picture: Tensor, framing: Framing = CANONICAL) -> Bytes:
    """Convert a face, (3, S, S) in [0, 1], to the input of the network, uint8 (150, 150, 3)."""
    values = picture.detach().to(torch.float32).permute(1, 2, 0).cpu().numpy()
    seen = warp(values, chip_from_crop(values.shape[0], framing), CHIP, CHIP)
    return np.clip(np.rint(seen * 255), 0, 255).astype(np.uint8)


def cosine(a: Embeddings, b: Embeddings) -> NDArray[np.float64]:
    """Return the cosine similarity of each pair of rows, (N, D) and (N, D) to (N,).

    All embeddings of this network have similar directions. Their similarity is about 0.85 for two
    people, and about 0.95 for two photographs of one person.
    """
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    similarity: NDArray[np.float64] = (a * b).sum(1) / np.maximum(lengths, 1e-12)
    return similarity


def same_person(a: Embeddings, b: Embeddings) -> NDArray[np.bool_]:
    """Return whether the faces of each pair show one person, (N, D) and (N, D) to (N,)."""
    close: NDArray[np.bool_] = np.linalg.norm(a - b, axis=1) < SAME_PERSON
    return close
