"""What can be measured on this machine: some of the judges are optional."""

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
    """Every judge that is there; to be closed.

    `notes` has a line for each that is not, and `seconds` what each measure took in all.
    """

    def __init__(self, inception: Path | None = None) -> None:
        """Load them.

        Args:   inception: TorchScript file, see `perceptual.Inception`.
        Raises: TrainingError: that file cannot be used; all else is left out with a note.
        """
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self.inception = Inception(inception) if inception else None
        self.lpips = self._optional(lpips, "")
        self.st_lpips = self._optional(STLPIPS.load, "ST-LPIPS is left out: ")
        self.embedder = self._optional(Embedder, "identity is left out: ")
        self.reader = self._optional(FaceReader, "landmarks and detector are left out: ")

    def _optional(self, make: Callable[[], Instrument], left_out: str) -> Instrument | None:
        try:
            return make()
        except CrsrError as error:
            self.notes.append(f"{left_out}{error}")
            return None

    @contextmanager
    def timed(self, measure: str) -> Iterator[None]:
        """Count the time of a block towards a measure."""
        began = time.perf_counter()
        yield
        self.seconds[measure] = self.seconds.get(measure, 0.0) + time.perf_counter() - began

    def close(self) -> None:
        """Release the face models."""
        if self.reader is not None:
            self.reader.close()
