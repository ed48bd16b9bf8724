"""The networks that measure results. Missing ones are left out, with a note."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from crsr_video.closing import Closing
from crsr_video.errors import CrsrError
from crsr_video.evaluation.identity import Embedder
from crsr_video.evaluation.inception import Inception
from crsr_video.evaluation.landmarks import FaceReader
from crsr_video.evaluation.stlpips import STLPIPS

Model = TypeVar("Model")


class MetricModels(Closing):
    """The installed networks that measure results. Close this object after use.

    Attributes:
        notes: A line for each network that is missing.
        seconds: Total computing time of each measure, by name.
    """

    def __init__(self, inception: Path | None = None) -> None:
        """Load the networks.

        Args:
            inception: TorchScript file of an Inception network, see `inception.Inception`.

        Raises:
            TrainingError: If the Inception file cannot be read.
        """
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self.inception = Inception(inception) if inception else None
        self.st_lpips = self._load(STLPIPS.load, "ST-LPIPS is not measured")
        self.embedder = self._load(Embedder, "identity is not measured")
        self.reader = self._load(FaceReader, "landmarks and detector are not measured")

    def _load(self, make: Callable[[], Model], consequence: str) -> Model | None:
        try:
            return make()
        except CrsrError as error:
            self.notes.append(f"{consequence}: {error}")
            return None

    @contextmanager
    def timed(self, measure: str) -> Iterator[None]:
        """Add the time that a `with` block takes to the total of a measure."""
        began = time.perf_counter()
        yield
        self.seconds[measure] = self.seconds.get(measure, 0.0) + time.perf_counter() - began

    def close(self) -> None:
        """Release the face models."""
        if self.reader is not None:
            self.reader.close()
