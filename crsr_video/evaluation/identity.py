"""Identity of a face: the embedding of a face-recognition network.

The network is dlib's `dlib_face_recognition_resnet_model_v1` (Davis King, weights in the public
domain, CC0). It maps a face to 128 numbers, which are close together for pictures of one person. It
is an optional extra, because only the evaluation needs it.
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
"""Faces at a smaller distance show one person, according to the documentation of dlib."""
USEFUL_CROP_PX = 227
"""Side of a canonical crop at the scale of the network's input. Larger crops add nothing."""

_BATCH = 16


def chip_from_crop(size: int, framing: Framing = CANONICAL) -> Matrix:
    """Matrix (2x3) from a picture of `size` pixels to the input of the network."""
    return recognition.chip_from_crop(size, framing.scale, framing.dy)


class Embedder:
    """The recognition network, with a cache, because the same truth is embedded many times."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            TrainingError: If it is not installed or cannot be read.
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
        """Embed faces of any size and one framing: (N, 3, S, S) in [0, 1] to (N, 128)."""
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
    """The input of the network for a face: (3, S, S) in [0, 1] to uint8 (150, 150, 3)."""
    values = picture.detach().to(torch.float32).permute(1, 2, 0).cpu().numpy()
    seen = warp(values, chip_from_crop(values.shape[0], framing), CHIP, CHIP)
    return np.clip(np.rint(seen * 255), 0, 255).astype(np.uint8)


def cosine(a: Embeddings, b: Embeddings) -> NDArray[np.float64]:
    """Cosine similarity of each row, (N, D) and (N, D) to (N,).

    Embeddings of this network have similar directions: about 0.85 for two people, and 0.95 for two
    photographs of one person.
    """
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    similarity: NDArray[np.float64] = (a * b).sum(1) / np.maximum(lengths, 1e-12)
    return similarity


def same_person(a: Embeddings, b: Embeddings) -> NDArray[np.bool_]:
    """Whether each pair shows one person by the limit of dlib, (N, D) and (N, D) to (N,)."""
    close: NDArray[np.bool_] = np.linalg.norm(a - b, axis=1) < SAME_PERSON
    return close
