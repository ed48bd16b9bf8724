"""Whose face it is: the embedding of a face-recognition network, as an independent judge.

The network is dlib's `dlib_face_recognition_resnet_model_v1` (Davis King, weights in the public
domain, CC0): 128 numbers for a face, close together for pictures of one person. It is an optional
extra, since nothing but measuring needs it.
"""

import hashlib
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.evaluation.framings import CANONICAL
from crsr_video.geometry import Matrix, similarity
from crsr_video.training.genuine import Framing
from crsr_video.warp import warp

Embeddings = NDArray[np.float64]
Bytes = NDArray[np.uint8]

INSTALL = 'pip install "crsr-video[eval]"'
SAME_PERSON = 0.6
"""Euclidean distance below which dlib's documentation takes two faces for one person."""
SEEN = 227
"""Side in pixels of a canonical crop at the scale at which the network sees it: no picture need
be larger."""

_MODEL = "dlib_face_recognition_resnet_model_v1.dat"
_CHIP = 150
"""Side of the network's input, pixels."""
_BATCH = 16

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


def chip_from_crop(size: int, framing: Framing = CANONICAL) -> Matrix:
    """Pixels of the network's input from those of a picture of `size` pixels a side; 2x3.

    One transform serves every face, because the crops are aligned already.
    """
    corner = np.array([0.5, 0.5 + framing.dy]) - framing.scale / 2
    points = (_CROP_POINTS - corner) / framing.scale
    chip = (_CHIP_POINTS + _PADDING) / (1 + 2 * _PADDING) * _CHIP
    return similarity(points * size - 0.5, chip)


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
    """Where the weights lie. Only looked up: importing their package needs setuptools."""
    found = util.find_spec("face_recognition_models")
    if found is None or not found.submodule_search_locations:
        raise TrainingError(f"face_recognition_models is not installed: {INSTALL}")
    return Path(found.submodule_search_locations[0]) / "models" / _MODEL


def chip(picture: Tensor, framing: Framing = CANONICAL) -> Bytes:
    """A face as the network wants it; (3, S, S) in [0, 1] to uint8 (150, 150, 3)."""
    values = picture.detach().to(torch.float32).permute(1, 2, 0).cpu().numpy()
    seen = warp(values, chip_from_crop(values.shape[0], framing), _CHIP, _CHIP)
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
