"""The interface of every stage between decoding and encoding."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from crsr_video.types import Frame

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(slots=True)
class Lowered:
    """How far the strength of one face was lowered, over all its frames."""

    frames: int = 0
    """Number of frames in which the strength was lowered."""
    lowest: float = 1.0
    """Smallest remaining share of the strength."""
    total: float = 0.0
    """Sum of the remaining shares in these frames."""
    causes: Counter[str] = field(default_factory=Counter)

    @property
    def mean(self) -> float:
        """Mean remaining share over the frames in which it was lowered."""
        return self.total / max(self.frames, 1)

    @property
    def cause(self) -> str:
        """The most frequent cause."""
        return self.causes.most_common(1)[0][0]


HELD_BYTES = 400_000_000
"""Maximum number of bytes of frames that a stage holds back. Up to 8K video with 8 bits in 4:2:0,
the usual lookahead fits."""


def frames_to_hold(wanted: int, frame: Frame) -> int:
    """Return how many frames of this size may be held back if `wanted` is the preferred number."""
    return min(wanted, HELD_BYTES // max(frame.nbytes, 1))


class Stage(ABC, Generic[In, Out]):
    """One step from decoded to enhanced frames. Items go in and come out in presentation order."""

    lookahead: int = 0
    """Largest number of frames held back. It bounds the memory, however long the clip is."""

    @abstractmethod
    def push(self, item: In) -> list[Out]:
        """Take one item, and return the items that are finished."""

    def push_all(self, items: Sequence[In]) -> list[Out]:
        """Take several items, which a stage may compute together, and return finished ones."""
        return [done for item in items for done in self.push(item)]

    def process(self, items: Iterable[In]) -> Iterator[Out]:
        """Take all items of a stream, and yield finished ones until none is held back."""
        for item in items:
            yield from self.push(item)
        yield from self.flush()

    def flush(self) -> list[Out]:
        """Finish and return all items that are held back, at the end of the stream."""
        return []

    def reset(self) -> None:
        """Forget everything that was seen."""

    def close(self) -> None:
        """Free resources such as detectors."""

    def warm_up(self) -> None:
        """Do the work that takes long the first time, with empty input."""

    def set_strength(self, strength: float) -> None:
        """Set the share of the correction, 0 to 1, that is applied from the next frame on."""

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about the frames so far, one sentence each."""
        return ()

    @property
    def lowered(self) -> dict[int, Lowered]:
        """How far the strength of faces was lowered, by track ID."""
        return {}


def ramp(value: float, ends: tuple[float, float]) -> float:
    """Return the position of a value between two ends, limited to 0 to 1."""
    return float(min(max((value - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0))
