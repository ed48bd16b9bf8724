"""Smooth: average faces over time, so that almost equal frames do not flicker.

Aligned crops of one track lie on top of each other, so neighbours in time can be averaged pixel by
pixel wherever they show the same thing. Where the face moves within its crop (a blink, a word), the
consistent crops differ and the neighbour's weight falls to nothing, so nothing smears. With frames
to come (lookahead) the window is symmetric, and the average has no lag.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from crsr_video.imaging.likeness import agreement
from crsr_video.imaging.operations import Operations, Pictures
from crsr_video.stages.base import Stage, frames_to_hold
from crsr_video.types import Crop, Face, TrackedFrame

_TOLERANCE = 0.045
"""Difference of two consistent crops, 1 being white, at which a neighbour's weight is 1/e."""


@dataclass(frozen=True, slots=True)
class _Job:
    """The pictures of a face and of the same face in neighbouring frames."""

    consistent: Any
    enhanced: Any
    neighbours: list[tuple[Any, Any]]
    """Consistent and enhanced pictures, in order of time."""


class Smoother(Stage[TrackedFrame, TrackedFrame]):
    """Averages `Face.enhanced` over up to `radius` frames on either side.

    Args:
        operations: How pictures are computed, and where.
        radius: Number of frames before, and (unless causal) after.
        causal: Look back only; then nothing is held back.
    """

    def __init__(self, operations: Operations, radius: int = 2, *, causal: bool = False) -> None:
        self.lookahead = 0 if causal else radius
        self._operations = operations
        self._radius = radius
        self._window: deque[TrackedFrame] = deque()
        self._next = 0

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Take a frame; return the one that has now seen its whole window."""
        return self.push_all([item])

    def push_all(self, items: Sequence[TrackedFrame]) -> list[TrackedFrame]:
        """Take several frames, and average all faces of those that are finished together."""
        ready: list[_Ready] = []
        for item in items:
            if item.cut:
                ready += self._end_scene()
            self._window.append(item)
            ahead = frames_to_hold(self.lookahead, item.frame)
            while len(self._window) - self._next > ahead:
                ready.append(self._take())
        return self._averaged(ready)

    def flush(self) -> list[TrackedFrame]:
        """Finish all frames with the neighbours that there are."""
        return self._averaged(self._end_scene())

    def reset(self) -> None:
        """Forget all frames."""
        self._window.clear()
        self._next = 0

    def _end_scene(self) -> "list[_Ready]":
        ready = []
        while self._next < len(self._window):
            ready.append(self._take())
        self.reset()
        return ready

    def _take(self) -> "_Ready":
        """Return the next frame, and the neighbours of its faces."""
        centre = self._next
        first, last = max(0, centre - self._radius), centre + self.lookahead
        neighbours = [
            item
            for index, item in enumerate(self._window)
            if first <= index <= last and index != centre
        ]
        item = self._window[centre]
        ready = _Ready(item, [_job(face, neighbours) for face in item.faces])
        self._next += 1
        while self._next > frames_to_hold(self._radius, item.frame):
            self._window.popleft()
            self._next -= 1
        return ready

    def _averaged(self, ready: "list[_Ready]") -> list[TrackedFrame]:
        jobs = [job for one in ready for job in one.jobs if job is not None]
        kinds = [(job.consistent.shape[-1], job.enhanced.shape[-1]) for job in jobs]
        pictures: dict[int, Any] = {}
        for indices in self._operations.batches(kinds, [large for _, large in kinds]):
            made = _average([jobs[index] for index in indices], self._operations)
            pictures.update(zip(indices, made, strict=True))
        numbers = iter(range(len(jobs)))
        return [
            replace(
                one.item,
                faces=tuple(
                    face if job is None else _with_picture(face, pictures[next(numbers)])
                    for face, job in zip(one.item.faces, one.jobs, strict=True)
                ),
            )
            for one in ready
        ]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A frame whose window is complete."""

    item: TrackedFrame
    jobs: list[_Job | None]
    """One for each face; faces without neighbours have none."""


def _job(face: Face, items: list[TrackedFrame]) -> _Job | None:
    """Return the same person's pictures in other frames, as far as they can be compared."""
    if face.enhanced is None or face.consistent is None:
        return None
    neighbours = [
        (other.consistent.image, other.enhanced.image)
        for item in items
        for other in item.faces
        if other.track == face.track
        and other is not face
        and other.enhanced is not None
        and other.consistent is not None
        and other.consistent.size == face.consistent.size
    ]
    return _Job(face.consistent.image, face.enhanced.image, neighbours) if neighbours else None


def _average(jobs: Sequence[_Job], operations: Operations) -> Pictures:
    """Average pictures of one size with those of their neighbours, in the neighbours' order."""
    ours = operations.stack([job.consistent for job in jobs])
    total = 1.0 * operations.stack([job.enhanced for job in jobs])
    weights = 1.0
    for turn in range(max(len(job.neighbours) for job in jobs)):
        # A face with fewer neighbours is averaged with itself, with the weight 0.
        others = [
            job.neighbours[turn] if turn < len(job.neighbours) else (job.consistent, job.enhanced)
            for job in jobs
        ]
        theirs = operations.stack([consistent for consistent, _ in others])
        weight = agreement(ours, theirs, total.shape[-1], _TOLERANCE, operations)
        counts = [float(turn < len(job.neighbours)) for job in jobs]
        if not all(counts):
            weight = weight * operations.numbers(counts)[:, None, None, None]
        enhanced = operations.stack([enhanced for _, enhanced in others])
        total = operations.add_product(total, enhanced, weight)
        weights = weights + weight
    return total / weights


def _with_picture(face: Face, picture: Any) -> Face:
    assert face.enhanced is not None
    return replace(face, enhanced=Crop(picture, face.enhanced.crop_from_frame))
