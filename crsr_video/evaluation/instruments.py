"""Instruments: the models that measure results. Some of them are optional."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from crsr_video.closing import Closing
from crsr_video.errors import CrsrError
from crsr_video.evaluation.identity import Embedder
from crsr_video.evaluation.landmarks import FaceReader
from crsr_video.evaluation.perceptual import Inception, lpips
from crsr_video.evaluation.stlpips import STLPIPS

Instrument = TypeVar("Instrument")


class Instruments(Closing):
    """The measuring models that are installed. Close this object after use.

    Attributes:
        notes: A line for each model that is missing.
        seconds: Total computing time of each measure, by name.
    """

    def __init__(self, inception: Path | None = None) -> None:
        """Load the models.

        Args:
            inception: TorchScript file of the Inception network, see `perceptual.Inception`.

        Raises:
            TrainingError: The Inception file cannot be read. Other missing models only add a note.
        """
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self.inception = Inception(inception) if inception else None
        self.lpips = self._optional(lpips, "")
        self.st_lpips = self._optional(STLPIPS.load, "ST-LPIPS is not measured: ")
        self.embedder = self._optional(Embedder, "identity is not measured: ")
        self.reader = self._optional(FaceReader, "landmarks and detector are not measured: ")

    def _optional(self, make: Callable[[], Instrument], prefix: str) -> Instrument | None:
        try:
            return make()
        except CrsrError as error:
            self.notes.append(f"{prefix}{error}")
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
