"""Back off: where an enhanced face is no longer the face that was seen, less of it is used.

Between smooth and paste. Each enhanced crop is shrunk to the size of the crop that it was made
from, and compared with that: the networks may add detail beyond the crop's band, but within it
they must show the same face (no drift), at least as sharply as it was seen (no softening). How far
a track's strength is lowered changes slowly, so that nothing flickers.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from crsr_video.imaging.likeness import Comparison, compare
from crsr_video.types import Face, TrackedFrame

DRIFT, SOFTNESS = "drift", "softness"
"""Why a face's strength is lowered."""

_LIKENESS = (0.80, 0.90)
"""Correlation with the seen face at which nothing, and at which everything is used."""
_KEPT = (0.60, 0.90)
"""Share of the seen detail's power that is still there, likewise."""

_PACE = 1 / 8
"""Of its strength a face may lose in one frame; it gets it back at half that pace."""
_DEAD_BAND = 0.06
"""Smaller changes are not made."""
_PATIENCE = 60
"""Frames for which a face that is not seen is remembered."""

_WORTH_TELLING = 0.5
"""Share of its strength below which the user is told of a face."""


@dataclass(slots=True)
class Lowered:
    """What was taken from one track; only tracks that lost something have one."""

    frames: int = 0
    """In which its strength was lowered."""
    lowest: float = 1.0
    """Least share of its strength that it was left with."""
    total: float = 0.0
    """Sum over those frames of the share it was left with."""
    causes: Counter[str] = field(default_factory=Counter)
    """`DRIFT` and `SOFTNESS`, to the frames in which each weighed more."""

    @property
    def mean(self) -> float:
        """Mean share over the frames in which it was lowered."""
        return self.total / max(self.frames, 1)

    @property
    def cause(self) -> str:
        """The one that weighed more in most frames."""
        return self.causes.most_common(1)[0][0]


@dataclass(slots=True)
class _State:
    """What is remembered of one track."""

    comparison: Comparison
    share: float
    unseen: int = 0


class BackOff:
    """The stage; no lookahead.

    `lowered` tells by track what was taken, for the report.
    Args: look: compares a face with what was seen; as `likeness.compare`.
    """

    lookahead = 0

    def __init__(self, look: Callable[[Face], Comparison | None] = compare) -> None:
        self._look = look
        self.lowered: dict[int, Lowered] = {}
        self._tracks: dict[int, _State] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """Whether any strength was lowered by much, in words."""
        much = sum(told.lowest < _WORTH_TELLING for told in self.lowered.values())
        if not much:
            return ()
        who = "a face" if much == 1 else f"{much} faces"
        return (f"less was used of {who} that came out wrong; a report says which",)

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """The frame, with the strength of faces that went wrong lowered."""
        if item.cut:
            self.reset()
        faces = tuple(self._settle(face, not item.frame.second) for face in item.faces)
        self._forget()
        return [replace(item, faces=faces)]

    def flush(self) -> list[TrackedFrame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """Forget all faces; what was taken is kept for the report."""
        self._tracks.clear()

    def _settle(self, face: Face, counts: bool) -> Face:
        now = self._look(face) if face.skipped is None else None
        state = self._tracks.get(face.track)
        if now is None:
            # What is carried along from an earlier frame is as strong as it was there.
            share = state.share if state is not None and not face.fresh else 1.0
            return face if share == 1.0 else replace(face, strength=face.strength * share)
        if state is None:
            state = self._tracks[face.track] = _State(now, _share(now))
        else:
            state.comparison = now.mixed(state.comparison)
            state.share = _stepped(state.share, _share(state.comparison))
        state.unseen = 0
        if state.share == 1.0:
            return face
        if counts:
            self._note(face.track, state)
        return replace(face, strength=face.strength * state.share)

    def _note(self, track: int, state: _State) -> None:
        lowered = self.lowered.setdefault(track, Lowered())
        lowered.frames += 1
        lowered.lowest = min(lowered.lowest, state.share)
        lowered.total += state.share
        comparison = state.comparison
        drifts = _ramp(comparison.likeness, _LIKENESS) <= _ramp(comparison.kept, _KEPT)
        lowered.causes[DRIFT if drifts else SOFTNESS] += 1

    def _forget(self) -> None:
        """Drop tracks that have been away for long."""
        for state in self._tracks.values():
            state.unseen += 1
        self._tracks = {k: s for k, s in self._tracks.items() if s.unseen < _PATIENCE}


def _share(comparison: Comparison) -> float:
    """Of its strength, what a face should have."""
    return _ramp(comparison.likeness, _LIKENESS) * _ramp(comparison.kept, _KEPT)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))


def _stepped(share: float, wanted: float) -> float:
    """One frame's step towards what is wanted; none for little."""
    if abs(wanted - share) < _DEAD_BAND and 0.0 < wanted < 1.0:
        return share
    return share + min(max(wanted - share, -_PACE), _PACE / 2)
