"""Quality levels of live enhancement, from full quality to no enhancement.

The upper levels enhance all faces at decreasing cost. The lower ones leave faces out. If a network
is skipped for a frame, the change that it made to the previous frame is moved along with the face.
"""

from collections.abc import Sequence
from dataclasses import dataclass

NO_TIME = "there is no time for it"
"""Reason for which a face is left alone when live enhancement cannot keep up."""


@dataclass(frozen=True, slots=True)
class QualityLevel:
    """Limits on the work for each frame."""

    name: str
    largest_crop: int
    """Side in pixels of the largest crop that goes into the networks."""
    every: int
    """The networks process one frame out of this many."""
    most_faces: int | None
    """Maximum number of faces that are enhanced, the largest ones. None stands for all."""

    @property
    def enhances(self) -> bool:
        """Whether any face is enhanced."""
        return self.most_faces != 0


QUALITY_LEVELS = (
    QualityLevel("full", 128, 1, None),
    QualityLevel("smaller crops", 64, 1, None),
    QualityLevel("every second frame", 64, 2, None),
    QualityLevel("small crops, every second frame", 32, 2, None),
    QualityLevel("four faces, every second frame", 32, 2, 4),
    QualityLevel("one face, every third frame", 32, 3, 1),
    QualityLevel("passthrough", 32, 3, 0),
)
"""All levels, the best first."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Work that the faces in view would need."""

    crops: tuple[int, ...] = ()
    """Sides in pixels of the crops that they would have if there were time."""

    def work(self, level: QualityLevel) -> float:
        """Return the networks' work per frame at a level, in crops of 64x64 pixels."""
        wanted = sorted(self.crops, reverse=True)[: level.most_faces]
        return sum((min(side, level.largest_crop) / 64) ** 2 for side in wanted) / level.every


class LiveQuality:
    """The current quality level and demand, shared by the quality controller and the stages.

    Args:
        levels: All levels, the best first.
    """

    def __init__(self, levels: Sequence[QualityLevel] = QUALITY_LEVELS) -> None:
        self.levels = tuple(levels)
        self.index = 0
        self.hurry = False
        """Whether the next frame is late. If so, nothing is computed anew for it if possible."""
        self.fresh = True
        """Whether the networks processed the last frame."""
        self.demand = Demand()
        """Demand of the frame that was aligned last."""
        self.faded = False
        """Whether nothing is enhanced and all earlier changes have faded out completely."""

    @property
    def level(self) -> QualityLevel:
        """The current level."""
        return self.levels[self.index]
