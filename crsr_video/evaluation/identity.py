"""Whose face it is: the embedding of a face-recognition network, as an independent judge.

The network is dlib's `dlib_face_recognition_resnet_model_v1` (Davis King, weights in the public
domain, CC0): 128 numbers for a face, close together for pictures of one person. It is an optional
extra, since nothing but measuring needs it.
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
from crsr_video.evaluation.framings import CANONICAL
from crsr_video.imaging.geometry import Matrix
from crsr_video.imaging.warping import warp
from crsr_video.report import recognition
from crsr_video.report.recognition import CHIP
from crsr_video.training.genuine import Framing

Embeddings = NDArray[np.float64]
Bytes = NDArray[np.uint8]

INSTALL = 'pip install "crsr-video[eval]"'
SAME_PERSON = 0.6
"""Euclidean distance below which dlib's documentation takes two faces for one person."""
SEEN = 227
"""Side in pixels of a canonical crop at the scale at which the network sees it: no picture need
be larger."""

_BATCH = 16


def chip_from_crop(size: int, framing: Framing = CANONICAL) -> Matrix:
    """Pixels of the network's input from those of a picture of `size` pixels a side; 2x3."""
    return recognition.chip_from_crop(size, framing.scale, framing.dy)


class Embedder:
    """The recognition network. It remembers what it has seen, for truths are met often."""

    def __init__(self) -> None:
        """Load it. Raises TrainingError: it is not installed, or cannot be read."""
        try:
            library = import_module("dlib")
        except ImportError as error:
            raise TrainingError(f"dlib is not installed: {INSTALL}") from error
        try:
            self._network: Any = library.face_recognition_model_v1(str(_model_file()))
        except RuntimeError as error:
            raise TrainingError(f"cannot read the face-recognition model: {error}") from error
        self._known: dict[bytes, Embeddings] = {}

    def __call__(self, pictures: Tensor, framing: Framing = CANONICAL) -> Embeddings:
        """Embed faces of any size, framed alike; (N, 3, S, S) in [0, 1] to (N, 128)."""
        chips = [chip(picture, framing) for picture in pictures]
        keys = [hashlib.sha256(chip.tobytes()).digest() for chip in chips]
        new = {k: c for k, c in zip(keys, chips, strict=True) if k not in self._known}
        for first in range(0, len(new), _BATCH):
            part = list(new)[first : first + _BATCH]
            found = self._network.compute_face_descriptor([new[key] for key in part])
            self._known |= {k: np.array(v) for k, v in zip(part, found, strict=True)}
        return np.stack([self._known[key] for key in keys])


def _model_file() -> Path:
    found = recognition.model_file()
    if found is None:
        raise TrainingError(f"face_recognition_models is not installed: {INSTALL}")
    return found


def chip(picture: Tensor, framing: Framing = CANONICAL) -> Bytes:
    """A face as the network wants it; (3, S, S) in [0, 1] to uint8 (150, 150, 3)."""
    values = picture.detach().to(torch.float32).permute(1, 2, 0).cpu().numpy()
    seen = warp(values, chip_from_crop(values.shape[0], framing), CHIP, CHIP)
    return np.clip(np.rint(seen * 255), 0, 255).astype(np.uint8)


def cosine(a: Embeddings, b: Embeddings) -> NDArray[np.float64]:
    """Likeness row by row; (N, D) and (N, D) to (N,), 1 for the same direction.

    Embeddings of this network point much the same way: strangers have about 0.85 in common, the
    same person in two photographs 0.95.
    """
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    likeness: NDArray[np.float64] = (a * b).sum(1) / np.maximum(lengths, 1e-12)
    return likeness


def same_person(a: Embeddings, b: Embeddings) -> NDArray[np.bool_]:
    """Whether dlib would take each pair for one person; (N, D) and (N, D) to (N,)."""
    close: NDArray[np.bool_] = np.linalg.norm(a - b, axis=1) < SAME_PERSON
    return close
