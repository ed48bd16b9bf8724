"""Back off: use less of an enhanced face that is no longer the face that was seen.

Between smooth and paste. Each enhanced crop is shrunk to the size of the crop that it was made
from, and compared with that. The networks may add detail beyond the crop's band, but within it they
must show the same face (no drift), at least as sharply as it was seen (no softening). A track's
strength changes slowly, so that nothing flickers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from crsr_video.imaging.likeness import Comparison, compare
from crsr_video.imaging.operations import Operations
from crsr_video.stages.base import Lowered, Stage
from crsr_video.types import Face, TrackedFrame

DRIFT, SOFTNESS = "drift", "softness"
"""Causes for which a face's strength is lowered."""

_LIKENESS = (0.80, 0.90)
"""Correlation with the seen face at which nothing, and at which everything is used."""
_KEPT = (0.60, 0.90)
"""Remaining share of the seen detail's power at which nothing, and at which everything is used."""

_PACE = 1 / 8
"""Share of its strength that a face may lose in one frame; it regains it at half that pace."""
_DEAD_BAND = 0.06
"""Smaller changes of the strength are not made."""
_FORGET_AFTER = 60
"""Frames for which the state of a face that is not seen is kept."""

_NOTICE_BELOW = 0.5
"""Remaining share of its strength below which the user gets a notice about a face."""


@dataclass(slots=True)
class _State:
    """Running average and present share of one track."""

    comparison: Comparison
    share: float
    unseen: int = 0


class BackOff(Stage[TrackedFrame, TrackedFrame]):
    """Lowers the strength of faces that drift or come out softer than they were.

    Args:
        operations: How pictures are computed, and where.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._lowered: dict[int, Lowered] = {}
        self._tracks: dict[int, _State] = {}

    @property
    def lowered(self) -> dict[int, Lowered]:
        """How far the strength of faces was lowered; only faces that lost something are listed."""
        return self._lowered

    @property
    def notices(self) -> tuple[str, ...]:
        """Whether any strength was lowered by much."""
        count = sum(lowered.lowest < _NOTICE_BELOW for lowered in self._lowered.values())
        if not count:
            return ()
        faces = "1 face" if count == 1 else f"{count} faces"
        return (f"less enhancement was applied to {faces} that came out wrong; see the report",)

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Return the frame, with the strength of faces that went wrong lowered."""
        return self.push_all([item])

    def push_all(self, items: Sequence[TrackedFrame]) -> list[TrackedFrame]:
        """Compare the faces of several frames together."""
        faces = [face for item in items for face in item.faces]
        pairs = [
            (index, face.crop.canonical.image, face.enhanced.canonical.image)
            for index, face in enumerate(faces)
            if face.crop is not None and face.enhanced is not None and face.skipped is None
        ]
        found = compare([crop for _, crop, _ in pairs], [e for *_, e in pairs], self._operations)
        comparisons: list[Comparison | None] = [None] * len(faces)
        for (index, *_), comparison in zip(pairs, found, strict=True):
            comparisons[index] = comparison
        results = iter(comparisons)
        return [self._settled(item, [next(results) for _ in item.faces]) for item in items]

    def reset(self) -> None:
        """Forget all faces; what was lowered is kept for the report."""
        self._tracks.clear()

    def _settled(self, item: TrackedFrame, found: Sequence[Comparison | None]) -> TrackedFrame:
        if item.cut:
            self.reset()
        faces = tuple(
            self._settle(face, now, not item.frame.is_second_field)
            for face, now in zip(item.faces, found, strict=True)
        )
        for state in self._tracks.values():
            state.unseen += 1
        self._tracks = {k: s for k, s in self._tracks.items() if s.unseen < _FORGET_AFTER}
        return replace(item, faces=faces)

    def _settle(self, face: Face, now: Comparison | None, counts: bool) -> Face:
        state = self._tracks.get(face.track)
        if now is None:
            # What is carried along from an earlier frame is as strong as it was there.
            share = state.share if state is not None and not face.fresh else 1.0
            return face if share == 1.0 else replace(face, strength=face.strength * share)
        if state is None:
            state = self._tracks[face.track] = _State(now, _share(now))
        else:
            state.comparison = now.averaged(state.comparison)
            state.share = _stepped(state.share, _share(state.comparison))
        state.unseen = 0
        if state.share == 1.0:
            return face
        if counts:
            self._count(face.track, state)
        return replace(face, strength=face.strength * state.share)

    def _count(self, track: int, state: _State) -> None:
        lowered = self._lowered.setdefault(track, Lowered())
        lowered.frames += 1
        lowered.lowest = min(lowered.lowest, state.share)
        lowered.total += state.share
        comparison = state.comparison
        drifts = _ramp(comparison.likeness, _LIKENESS) <= _ramp(comparison.kept, _KEPT)
        lowered.causes[DRIFT if drifts else SOFTNESS] += 1


def _share(comparison: Comparison) -> float:
    """Return the share of its strength that a face should have."""
    return _ramp(comparison.likeness, _LIKENESS) * _ramp(comparison.kept, _KEPT)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))


def _stepped(share: float, wanted: float) -> float:
    """Take one frame's step towards the wanted share; small differences are ignored."""
    if abs(wanted - share) < _DEAD_BAND and 0.0 < wanted < 1.0:
        return share
    return share + min(max(wanted - share, -_PACE), _PACE / 2)
