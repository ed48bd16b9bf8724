"""How much is done for a frame: the ladder of quality that live enhancement climbs up and down.

The upper rungs are cheaper ways to the same picture; the lower ones leave faces alone. Where a
network is left out for a frame, the change that it made to the frame before is carried along with
the face.
"""

from collections.abc import Sequence
from dataclasses import dataclass

NO_TIME = "there is no time for it"
"""Why a face is left alone."""


@dataclass(frozen=True, slots=True)
class Level:
    """One rung."""

    name: str
    largest_crop: int
    """Side in pixels of the largest crop that goes into the networks."""
    every: int
    """The networks see one of so many frames."""
    most_faces: int | None
    """Faces that are enhanced, the largest; None: all."""

    @property
    def enhances(self) -> bool:
        """Whether anything is done at all."""
        return self.most_faces != 0


LEVELS = (
    Level("full", 128, 1, None),
    Level("smaller crops", 64, 1, None),
    Level("every second frame", 64, 2, None),
    Level("small crops, every second frame", 32, 2, None),
    Level("four faces, every second frame", 32, 2, 4),
    Level("one face, every third frame", 32, 3, 1),
    Level("passthrough", 32, 3, 0),
)
"""From the best to nothing at all."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the faces in view ask for."""

    crops: tuple[int, ...] = ()
    """Sides in pixels of the crops that they would have, were there time."""

    def work(self, level: Level) -> float:
        """Pixels that the networks see a frame at a level, in crops of 64 a side."""
        wanted = sorted(self.crops, reverse=True)[: level.most_faces]
        return sum((min(side, level.largest_crop) / 64) ** 2 for side in wanted) / level.every

    def handled(self, level: Level) -> int:
        """Faces that are enhanced at a level."""
        return len(self.crops[: level.most_faces])


class Effort:
    """What is to be done now: set by who watches the clock, read by the stages.

    Args: levels: from the best to the least.
    """

    def __init__(self, levels: Sequence[Level] = LEVELS) -> None:
        self.levels = tuple(levels)
        self.index = 0
        self.hurry = False
        """The next frame is late: nothing is computed anew for it, if that can be avoided."""
        self.fresh = True
        """The networks saw the last frame."""
        self.demand = Demand()
        """Of the frame that was aligned last."""
        self.faded = False
        """Nothing is enhanced, and what was has wholly faded out."""

    @property
    def level(self) -> Level:
        """The present one."""
        return self.levels[self.index]
