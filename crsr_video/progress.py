"""How far a run has come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; given to the callback after every finished frame."""

    frames: int
    total: int
    """Estimate, 0 if unknown."""
    seconds: float
    """Since the first frame was read."""
    faces: int
    """In the frame finished last."""
    resumed: int = 0
    """Of the frames, those that an earlier run had finished."""

    @property
    def fps(self) -> float:
        """Frames a second so far, in this run."""
        return (self.frames - self.resumed) / self.seconds if self.seconds > 0 else 0.0
