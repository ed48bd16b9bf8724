"""The networks that measure results: face recognition, ST-LPIPS and face models."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.closing import Closing
from crsr_video.errors import CrsrError
from crsr_video.evaluation.landmarks import FaceAnalyser
from crsr_video.evaluation.metrics import CANONICAL
from crsr_video.evaluation.stlpips import STLPIPS
from crsr_video.imaging.tensor_chips import chips
from crsr_video.stopwatch import Stopwatch
from crsr_video.track import face_models
from crsr_video.training.genuine import Framing
from crsr_video.weights.packages import load_recognition

Model = TypeVar("Model")
Embeddings = NDArray[np.float64]

SAME_PERSON = 0.6
"""According to dlib's documentation, two embeddings less than this far apart show one person."""

_BATCH = 16


class Embedder:
    """Computes embeddings with dlib's network, see `networks.recognition`."""

    def __init__(self) -> None:
        """Load the network."""
        self._network = load_recognition(face_models.resolve("recognition", fetch=False))

    @torch.inference_mode()
    def __call__(self, pictures: Tensor, framing: Framing = CANONICAL) -> Embeddings:
        """Return the embeddings (N, 128) of faces (N, 3, S, S) in [0, 1] that share one framing."""
        seen = chips(pictures.float().cpu(), framing.scale, framing.dy)
        found = torch.cat([self._network(part)[0] for part in torch.split(seen, _BATCH)])
        return found.double().numpy()


def same_person(a: Embeddings, b: Embeddings) -> NDArray[np.bool_]:
    """Return whether the faces of each pair show one person, (N, D) and (N, D) to (N,)."""
    close: NDArray[np.bool_] = np.linalg.norm(a - b, axis=1) < SAME_PERSON
    return close


class MetricModels(Closing):
    """The installed networks that measure results. Close this object after use.

    A network that is not installed is None.

    Attributes:
        notes: A line for each network that is missing.
        timed: Total computing time of each measure, by name.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.timed = Stopwatch()
        self.st_lpips = self._load(STLPIPS.load, "ST-LPIPS is not measured")
        self.embedder = self._load(Embedder, "identity is not measured")
        self.analyser = self._load(FaceAnalyser, "landmarks and detector are not measured")

    def _load(self, make: Callable[[], Model], consequence: str) -> Model | None:
        try:
            return make()
        except CrsrError as error:
            self.notes.append(f"{consequence}: {error}")
            return None

    def close(self) -> None:
        """Release the face models."""
        if self.analyser is not None:
            self.analyser.close()
