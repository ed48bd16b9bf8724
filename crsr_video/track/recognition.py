"""Compute embeddings of faces, which are similar for all pictures of the same person.

The network is dlib's; see `networks.recognition`. Importing torch takes a second, so this module
imports it only when the network is needed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import CrsrError
from crsr_video.imaging.chips import CHIP, chip_from_crop
from crsr_video.imaging.geometry import Matrix, compose
from crsr_video.imaging.resampling import sample
from crsr_video.track import face_models
from crsr_video.types import Frame

Embedding = NDArray[np.float32]
"""Embedding of one face, (128,)."""
Chip = NDArray[np.float32]
"""The network's input, (150, 150, 3), RGB in [0, 1]."""


def chip_of(frame: Frame, crop_from_frame: Matrix) -> Chip:
    """Return the network's input for a face.

    Args:
        frame: The frame.
        crop_from_frame: 2x3 transform from frame pixels to a canonical crop with a side of 1.
    """
    return sample(frame, compose(chip_from_crop(), crop_from_frame), CHIP, CHIP).clip(0, 1)


def cosine(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the cosine similarity of two embeddings, or of each pair of rows: (N, D) to (N,).

    All embeddings of this network have similar directions. The similarity is about 0.85 for two
    people, and 0.95 for two photographs of the same person.
    """
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.asarray((a * b).sum(-1) / np.maximum(lengths, 1e-12), np.float64)


def installed_recogniser() -> "FaceRecogniser | None":
    """Return the recogniser, or None if its file is missing on this machine or damaged."""
    try:
        return FaceRecogniser()
    except CrsrError:
        return None


class FaceRecogniser:
    """Computes embeddings of faces.

    The distance between embeddings of two people is about 0.8, and 0.2 to 0.5 for one person.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Load the network.

        Args:
            path: The file with its weights. Defaults to the file that `face_models` finds.

        Raises:
            FaceModelError: The file is not on this machine. It is not downloaded.
            WeightsError: The file is damaged.
        """
        from crsr_video.runtime.placement import place
        from crsr_video.weights.packages import load_recognition

        path = path or face_models.resolve("recognition", fetch=False)
        self._network = load_recognition(path)
        # While decoders and encoders run, two threads take ten times as long as one.
        self._placement = place("cpu", "fp32", threads=1)

    def embed(self, chips: Sequence[Chip]) -> NDArray[np.float32]:
        """Return the embeddings of faces, (N, 128)."""
        import torch

        inputs = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2)
        with torch.inference_mode(), self._placement.applied():
            embeddings, _ = self._network(inputs)
        return np.asarray(embeddings.numpy(), np.float32)
