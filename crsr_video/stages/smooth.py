"""Smooth: average faces over time, so that almost equal frames do not flicker.

Aligned crops of one track lie almost on top of each other. What still moves within the crop is
followed by optical flow. After that, neighbours in time are averaged pixel by pixel wherever they
show the same thing. Where they do not (a blink, a word), the neighbour's weight falls to zero, so
nothing smears. With lookahead, the window is symmetric, and the average has no lag.

Where a track changes its crop size, pictures of both sizes are averaged, which fades from one to
the other.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from crsr_video.imaging.likeness import agreement, difference
from crsr_video.imaging.operations import Kernel, Operations, Pictures
from crsr_video.stages.base import Stage, frames_to_hold
from crsr_video.types import Face, TrackedFrame

_TOLERANCE = 0.045
"""Difference of two consistent crops, 1 being white, at which a neighbour's weight is 1/e."""

_LONGEST_SECONDS = 0.2
"""Neighbours that are farther away in time are left out, even if few frames lie between."""

_CLEARLY_LESS, _FAINT = 0.15, 2e-4
"""Flow is followed fully where it lowers the difference between two crops by at least the first
value, a share of that difference. It is not followed where it lowers the difference by less than
the second value, 1 being white. On still pictures, flow follows noise: flicker rose by 1 % when
flow was always followed."""

_SURROUNDINGS = 1 / 40
"""Standard deviation, in crop sides, of the Gaussian that averages such differences."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Optical flow between a face and the same face one frame before."""

    to_before: Any
    """(2, F, F): where the content of this frame lies in the frame before."""
    from_before: Any
    """(2, F, F): where the content of the frame before lies in this frame."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A frame of the window."""

    item: TrackedFrame
    steps: dict[int, _Step]
    """Flow from and to the frame before, by track ID."""

    def face(self, track: int) -> Face | None:
        """Return the face of a track if the networks saw it."""
        found = (f for f in self.item.faces if f.track == track)
        return next((f for f in found if f.enhanced and f.consistent), None)


@dataclass(frozen=True, slots=True)
class _Neighbour:
    """The same face in another frame, at the sizes of the face that is averaged."""

    ours: Any
    """Consistent crop of the face itself, at the resolution of the neighbour's."""
    consistent: Any
    enhanced: Any
    flow: Any
    """(2, F, F): flow to this neighbour from the one nearer to the face itself."""


@dataclass(frozen=True, slots=True)
class _Job:
    """The pictures of a face and of the same face in neighbouring frames."""

    consistent: Any
    enhanced: Any
    sides: tuple[list[_Neighbour], list[_Neighbour]]
    """Neighbours before and after, the nearest first."""


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
        self._window: deque[_Held] = deque()
        self._next = 0

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Take a frame, and return the frame whose window is now complete."""
        return self.push_all([item])

    def push_all(self, items: Sequence[TrackedFrame]) -> list[TrackedFrame]:
        """Take several frames, and average all faces of those that are finished together."""
        ready: list[_Ready] = []
        for held in self._with_steps(items):
            if held.item.cut:
                ready += self._end_scene()
            self._window.append(held)
            ahead = frames_to_hold(self.lookahead, held.item.frame)
            while len(self._window) - self._next > ahead:
                ready.append(self._take())
        return self._averaged(ready)

    def flush(self) -> list[TrackedFrame]:
        """Finish all frames with the neighbours that are available."""
        return self._averaged(self._end_scene())

    def reset(self) -> None:
        """Forget all frames."""
        self._window.clear()
        self._next = 0

    def _with_steps(self, items: Sequence[TrackedFrame]) -> list[_Held]:
        """Return the frames with the flow of their faces from the frames before."""
        done = [_Held(item, {}) for item in items]
        earlier = [*list(self._window)[-1:], *done]
        pairs: list[tuple[_Held, int, Any, Any]] = []
        for before, held in zip(earlier, done if self._window else done[1:], strict=False):
            for face in () if held.item.cut or not self._radius else held.item.faces:
                old, new = before.face(face.track), held.face(face.track)
                if old is not None and new is not None:
                    assert old.consistent and new.consistent
                    less = min(old.consistent.size, new.consistent.size)
                    crops = (
                        c.image if c.size == less else _resized(c.image, less, self._operations)
                        for c in (new.consistent, old.consistent)
                    )
                    pairs.append((held, face.track, *crops))
        sizes = [now.shape[-1] for _, _, now, _ in pairs]
        for indices in self._operations.batches(sizes, sizes):
            chosen = [pairs[index] for index in indices]
            both = self._operations.flows(
                *(self._operations.stack([pair[at] for pair in chosen]) for at in (2, 3))
            )
            for (held, track, *_), there, back in zip(chosen, *both, strict=True):
                held.steps[track] = _Step(there, back)
        return done

    def _end_scene(self) -> "list[_Ready]":
        ready = []
        while self._next < len(self._window):
            ready.append(self._take())
        self.reset()
        return ready

    def _take(self) -> "_Ready":
        """Return the next frame, and the neighbours of its faces."""
        item = self._window[self._next].item
        ready = _Ready(item, [self._job(face) for face in item.faces])
        self._next += 1
        while self._next > frames_to_hold(self._radius, item.frame):
            self._window.popleft()
            self._next -= 1
        return ready

    def _job(self, face: Face) -> _Job | None:
        """Return the same person's pictures in other frames, as far as they can be compared."""
        if face.enhanced is None or face.consistent is None or not self._radius:
            return None
        before, after = (self._neighbours(face, direction) for direction in (-1, 1))
        if not before and not after:
            return None
        return _Job(face.consistent.image, face.enhanced.image, (before, after))

    def _neighbours(self, face: Face, direction: int) -> list[_Neighbour]:
        """Return the neighbours before (-1) or after (1) a face of the next frame."""
        seconds = self._window[self._next].item.frame.seconds
        found: list[_Neighbour] = []
        while len(found) < self._radius:
            at = self._next + direction * (len(found) + 1)
            if not 0 <= at < len(self._window):
                break
            other = self._window[at].face(face.track)
            step = self._window[max(at, at - direction)].steps.get(face.track)
            apart = abs(self._window[at].item.frame.seconds - seconds)
            if other is None or step is None or apart > _LONGEST_SECONDS:
                break
            if bool(_headroom(other)) != bool(_headroom(face)):
                break  # Only one crop has headroom, so the pictures are not aligned.
            flow = step.to_before if direction < 0 else step.from_before
            found.append(_neighbour(face, other, flow, self._operations))
        return found

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


def _neighbour(face: Face, other: Face, flow: Any, operations: Operations) -> _Neighbour:
    """Return another picture of a face at the sizes of this one."""
    assert face.consistent and face.enhanced and other.consistent and other.enhanced
    ours, theirs, enhanced = face.consistent.image, other.consistent.image, other.enhanced.image
    if face.consistent.size != other.consistent.size:
        # Both are compared at the resolution of the smaller one.
        less = min(face.consistent.size, other.consistent.size)
        ours, theirs = (
            _resized(_resized(picture, less, operations), face.consistent.size, operations)
            for picture in (ours, theirs)
        )
    if face.enhanced.size != other.enhanced.size:
        enhanced = _resized(enhanced, face.enhanced.size, operations)
    return _Neighbour(ours, theirs, enhanced, flow)


def _headroom(face: Face) -> int:
    return 0 if face.enhanced is None else face.enhanced.headroom


def _resized(picture: Any, side: int, operations: Operations) -> Any:
    kernel: Kernel = "area" if side < picture.shape[-1] else "cubic"
    return operations.resize(operations.stack([picture]), side, kernel)[0]


def _average(jobs: Sequence[_Job], operations: Operations) -> Pictures:
    """Average pictures of one size with those of their neighbours."""
    pictures: list[Pictures] = []
    flows: list[Pictures] = []
    weights: list[Pictures] = []
    for before_or_after in (0, 1):
        sides = [job.sides[before_or_after] for job in jobs]
        flow: Pictures | None = None
        for turn in range(max(map(len, sides))):
            # A face with fewer neighbours is averaged with itself, with the weight 0.
            counts = [float(turn < len(side)) for side in sides]
            others = [
                side[turn] if turn < len(side) else _itself(job, jobs, before_or_after)
                for side, job in zip(sides, jobs, strict=True)
            ]
            step = operations.stack([other.flow for other in others])
            flow = step if flow is None else flow + operations.displace(step, flow)
            weight, followed = _weighted(others, flow, operations)
            if not all(counts):
                weight = weight * operations.as_floats(counts)[:, None, None, None]
            pictures.append(operations.stack([other.enhanced for other in others]))
            flows.append(followed)
            weights.append(weight)
    return operations.mean_displaced(
        operations.stack([job.enhanced for job in jobs]), pictures, flows, weights
    )


def _itself(job: _Job, jobs: Sequence[_Job], before_or_after: int) -> _Neighbour:
    """Return a face as its own neighbour. Its weight will be 0, so any flow will do."""
    some = next(other.sides[before_or_after][0] for other in jobs if other.sides[before_or_after])
    return _Neighbour(job.consistent, job.consistent, job.enhanced, some.flow)


def _weighted(
    others: Sequence[_Neighbour], flow: Pictures, operations: Operations
) -> tuple[Pictures, Pictures]:
    """Return the weights of neighbours, and the flow to them, both at the size of the crops.

    Flow is followed only where that clearly lowers the difference.
    """
    ours, theirs = (
        operations.stack(pictures)
        for pictures in ([o.ours for o in others], [o.consistent for o in others])
    )
    size = ours.shape[-1]
    small = operations.resize(flow, size, "area" if size < flow.shape[-1] else "linear")
    still, moving = (
        difference(ours, picture, operations)
        for picture in (theirs, operations.displace(theirs, small))
    )
    before, after = (
        operations.gaussian_blur(picture, _SURROUNDINGS * size) for picture in (still, moving)
    )
    share = ((before - after - _FAINT) / (_CLEARLY_LESS * before + _FAINT)).clip(0.0, 1.0)
    share = operations.gaussian_blur(share, _SURROUNDINGS * size)
    # Where `share` is between 0 and 1, a difference between the two is compared.
    weights = agreement(still + share * (moving - still), _TOLERANCE, operations)
    return weights, share * small


def _with_picture(face: Face, picture: Any) -> Face:
    assert face.enhanced is not None
    return replace(face, enhanced=replace(face.enhanced, image=picture))
