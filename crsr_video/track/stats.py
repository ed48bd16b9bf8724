"""What tracking took."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class TrackerStats:
    """Counts and wall-clock milliseconds since the tracker was made."""

    frames: int = 0
    cuts: int = 0
    """Scenes after the first."""
    tracks: int = 0
    """Faces confirmed."""
    looks: int = 0
    """Runs of a detector."""
    landmark_calls: int = 0
    """Runs of the mesh model."""
    refused: int = 0
    """Times a face was left alone because too many were followed already."""
    cuts_ms: float = 0.0
    """Thumbnails and scene cuts."""
    detect_ms: float = 0.0
    """Detectors."""
    landmarks_ms: float = 0.0
    """Following faces with the mesh model."""
    associate_ms: float = 0.0
    """Joining detections with tracks, with the mesh model's runs that this takes."""
    smooth_ms: float = 0.0
    """Smoothing."""

    @property
    def parts(self) -> dict[str, float]:
        """Seconds by what they were spent on."""
        return {
            "cuts": self.cuts_ms / 1000,
            "detect": self.detect_ms / 1000,
            "landmarks": self.landmarks_ms / 1000,
            "associate": self.associate_ms / 1000,
            "settle": self.smooth_ms / 1000,
        }

    @property
    def total_ms(self) -> float:
        """All of it."""
        return 1000 * sum(self.parts.values())


class Stopwatch:
    """Adds up the time of named parts."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Count what is done inside under `part`."""
        start = perf_counter()
        try:
            yield
        finally:
            self.ms[part] = self.ms.get(part, 0.0) + (perf_counter() - start) * 1000
