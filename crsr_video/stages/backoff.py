"""Back off: use less of an enhanced face that is no longer the face that was seen.

Between smooth and paste. Each enhanced crop is shrunk to the size of the crop that it was made
from, and compared with that. The networks may add detail beyond the crop's band, but within it they
must show the same face (no drift), at least as sharply as it was seen (no softening). A track's
strength changes slowly, so that nothing flickers.

A burst of motion blur passes these tests, since the result is compared with the blurred face
itself. It shows in the detail of every frame: where much less is seen than usual in the same track,
and most of the result is made up, the networks have guessed a face that may be somebody else's.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from crsr_video.imaging.likeness import Comparison, compare
from crsr_video.imaging.operations import Operations
from crsr_video.stages.base import Lowered, Stage, frames_to_hold
from crsr_video.types import Face, TrackedFrame

DRIFT, SOFTNESS, BLUR = "drift", "softness", "motion blur"
"""Causes for which a face's strength is lowered."""

_LIKENESS = (0.80, 0.90)
"""Correlation with the seen face at which nothing, and at which everything is used."""
_KEPT = (0.60, 0.90)
"""Remaining share of the seen detail's power at which nothing, and at which everything is used."""

_USUAL_FRAMES = 90
"""Frames that tell what is usual in a track. A burst of a second does not move it, and video that
stays soft becomes the usual."""
_SHARP_QUANTILE = 0.75
"""Quantile of their detail that is the usual: people who come nearer gain detail."""
_FEWEST_FRAMES = 12
"""Frames after which a track has a usual detail."""
_SEEN = (0.70, 0.86)
"""RMS of the seen detail, over the usual, at which a face counts as blurred, and as sharp."""
_ADDED = (1.10, 1.26)
"""RMS of the enhanced over the seen detail, relative to the usual, at which a face counts as seen,
and as made up. In a burst of motion blur of a walking woman (`mpf_walkers_enter_leave`, 3.2 s) both
figures reach 0.6 and 1.4; faces that turn away lose detail too, but gain no more than usual."""
_LEAST_IN_BLUR = 0.15
"""Remaining share of the strength of a face whose detail is made up in a burst of blur."""
_BLUR_MEMORY = 0.4
"""Share of former frames in the average by which blur is judged: bursts begin suddenly."""

_PACE, _BLUR_PACE = 1 / 8, 1 / 3
"""Share of its strength that a face may lose in one frame, and may lose in one frame of blur; it
regains it at half the former pace."""
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
    recent: Comparison
    size: int
    """Side of the crop in pixels."""
    share: float = 1.0
    """Share of its strength that the face has now."""
    cause: str = DRIFT
    """Why the share was lowered last."""
    seen: deque[float] = field(default_factory=lambda: deque(maxlen=_USUAL_FRAMES))
    """Power of the seen detail in the last frames."""
    added: deque[float] = field(default_factory=lambda: deque(maxlen=_USUAL_FRAMES))
    """`Comparison.added` in the last frames."""
    unseen: int = 0

    def push(self, now: Comparison, size: int) -> None:
        """Add a frame to the averages."""
        if size != self.size:  # Detail is measured in crop pixels.
            self.size = size
            self.seen.clear()
            self.added.clear()
            self.recent = now
        self.comparison = now.averaged(self.comparison)
        self.recent = now.averaged(self.recent, _BLUR_MEMORY)
        self.seen.append(now.seen_fine)
        self.added.append(now.added)

    def judge(self, *, sudden: bool = False) -> None:
        """Move the share towards what the averages ask for, or set it at once."""
        shares = {
            DRIFT: _ramp(self.comparison.likeness, _LIKENESS),
            SOFTNESS: _ramp(self.comparison.kept, _KEPT),
            BLUR: self._share_in_blur(),
        }
        wanted = min(shares[BLUR], shares[DRIFT] * shares[SOFTNESS])
        if wanted < self.share:
            self.cause = min(shares, key=lambda cause: shares[cause])
        pace = _BLUR_PACE if self.cause == BLUR else _PACE
        self.share = wanted if sudden else _stepped(self.share, wanted, pace)

    def _share_in_blur(self) -> float:
        """Return the share that is left where detail is missing and made up."""
        if len(self.seen) < _FEWEST_FRAMES:
            return 1.0
        usual_seen = float(np.quantile(self.seen, _SHARP_QUANTILE))
        usual_added = float(np.quantile(self.added, 1 - _SHARP_QUANTILE))
        seen = float(np.sqrt(self.recent.seen_fine / max(usual_seen, 1e-9)))
        added = self.recent.added / max(usual_added, 1e-9)
        blurred, made_up = 1 - _ramp(seen, _SEEN), _ramp(added, _ADDED)
        return 1 - (1 - _LEAST_IN_BLUR) * min(blurred, made_up)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A frame that waits, with the shares of its faces."""

    item: TrackedFrame
    shares: dict[int, tuple[float, str]]
    """Share and the cause of its last decrease, by track ID."""


class BackOff(Stage[TrackedFrame, TrackedFrame]):
    """Lowers the strength of faces that drift, come out softer than they were, or are made up.

    Args:
        operations: How pictures are computed, and where.
        lookahead: Number of frames by which the strength is lowered ahead of the frame that asks
            for it, because a face goes wrong faster than its strength may change.
    """

    def __init__(self, operations: Operations, *, lookahead: int = 0) -> None:
        self.lookahead = lookahead
        self._operations = operations
        self._waiting: deque[_Judged] = deque()
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
        done: list[TrackedFrame] = []
        for item in items:
            if item.cut:
                done += self.flush()
                self._tracks.clear()
            self._waiting.append(self._judged(item, [next(results) for _ in item.faces]))
            while len(self._waiting) > frames_to_hold(self.lookahead, item.frame):
                done.append(self._released())
        return done

    def flush(self) -> list[TrackedFrame]:
        """Finish the frames that wait."""
        return [self._released() for _ in range(len(self._waiting))]

    def reset(self) -> None:
        """Forget all frames and faces; what was lowered is kept for the report."""
        self._waiting.clear()
        self._tracks.clear()

    def _judged(self, item: TrackedFrame, found: Sequence[Comparison | None]) -> _Judged:
        shares = {f.track: self._judge(f, now) for f, now in zip(item.faces, found, strict=True)}
        for state in self._tracks.values():
            state.unseen += 1
        self._tracks = {k: s for k, s in self._tracks.items() if s.unseen < _FORGET_AFTER}
        return _Judged(item, shares)

    def _judge(self, face: Face, now: Comparison | None) -> tuple[float, str]:
        """Return the share of a face's strength, and why it was lowered last."""
        state = self._tracks.get(face.track)
        if now is None:
            # What is carried along from an earlier frame is as strong as it was there.
            return (1.0, DRIFT) if state is None or face.fresh else (state.share, state.cause)
        assert face.crop is not None
        if state is None:
            state = self._tracks[face.track] = _State(now, now, face.crop.size)
            state.judge(sudden=True)
        else:
            state.push(now, face.crop.size)
            state.judge()
        state.unseen = 0
        return state.share, state.cause

    def _released(self) -> TrackedFrame:
        """Return the frame that has waited longest."""
        first = self._waiting[0]
        faces = []
        for face in first.item.faces:
            seen = [
                judged.shares[face.track] for judged in self._waiting if face.track in judged.shares
            ]
            # A face that is left alone in this frame has nothing to lose.
            share, cause = min(seen) if face.enhanced is not None or not face.fresh else seen[0]
            if share < 1.0 and face.fresh and not first.item.frame.is_second_field:
                self._count(face.track, share, cause)
            faces.append(face if share == 1.0 else replace(face, strength=face.strength * share))
        self._waiting.popleft()
        return replace(first.item, faces=tuple(faces))

    def _count(self, track: int, share: float, cause: str) -> None:
        lowered = self._lowered.setdefault(track, Lowered())
        lowered.frames += 1
        lowered.lowest = min(lowered.lowest, share)
        lowered.total += share
        lowered.causes[cause] += 1


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))


def _stepped(share: float, wanted: float, pace: float) -> float:
    """Take one frame's step towards the wanted share; small differences are ignored."""
    if abs(wanted - share) < _DEAD_BAND and 0.0 < wanted < 1.0:
        return share
    return share + min(max(wanted - share, -pace), _PACE / 2)
