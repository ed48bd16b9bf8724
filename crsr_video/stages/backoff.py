"""Use less of an enhanced face if it no longer shows the face in the source.

This stage runs between the stages smooth and paste. It shrinks each enhanced crop to the size of
the source crop that it was made from, and compares the two. The networks may add detail that is
finer than the pixels of the source crop. Below that limit, the result must show the same face (no
drift), and must be at least as sharp as the source (no softening). The strength of a track changes
slowly, so that the result does not flicker.

A burst of motion blur passes these tests, because the result is compared with the blurred face
itself. It is detected by the amount of detail in each frame. If a frame shows much less detail than
is usual in its track, and the networks add much more than usual, they have guessed a face that may
be somebody else's.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from crsr_video.imaging.likeness import Comparison, compare
from crsr_video.imaging.operations import Operations
from crsr_video.stages.base import Lowered, Stage, frames_to_hold, ramp
from crsr_video.types import Face, TrackedFrame

DRIFT, SOFTNESS, BLUR = "drift", "softness", "motion blur"
"""Reasons for lowering the strength of a face."""

_LIKENESS = (0.80, 0.90)
"""Correlation with the source face up to which the enhanced face is not used, and from which it is
used fully."""
_KEPT = (0.60, 0.90)
"""Power of the enhanced detail, relative to that of the source detail, up to which the enhanced
face is not used, and from which it is used fully."""

_USUAL_FRAMES = 90
"""Number of recent frames that determine the usual detail of a track. A burst of one second hardly
changes it, but after a longer time, soft video becomes the usual."""
_SHARP_QUANTILE = 0.75
"""Quantile of the detail in these frames that counts as usual. It is above the median, because
people who come nearer gain detail."""
_FEWEST_FRAMES = 12
"""Minimum number of frames from which the usual detail of a track is computed."""
_SEEN = (0.70, 0.86)
"""RMS of the source detail, relative to the usual, up to which a face counts as fully blurred, and
from which it counts as sharp."""
_ADDED = (1.10, 1.26)
"""RMS of the enhanced detail over that of the source detail, relative to the usual, up to which a
face counts as genuine, and from which it counts as made up. In a burst of motion blur of a walking
woman (`mpf_walkers_enter_leave`, 3.2 s), the value compared with `_SEEN` reaches 0.6 and this one
1.4. Faces that turn away also lose detail, but the networks add no more to them than usual."""
_LEAST_IN_BLUR = 0.15
"""Share of its strength that a face keeps if it is fully blurred and made up."""
_BLUR_MEMORY = 0.4
"""Weight of earlier frames in the running average that detects blur. It is small, because bursts
begin suddenly."""

_MAX_LOSS_PER_FRAME, _MAX_BLUR_LOSS_PER_FRAME = 1 / 8, 1 / 3
"""Largest share of its strength that a face may lose in one frame, first in general, then because
of blur. In both cases, a face regains its strength at half of the first value per frame."""
_DEAD_BAND = 0.06
"""Changes of the share that are smaller than this are not made."""
_FORGET_AFTER_FRAMES = 60
"""Number of frames for which the state of a track is kept while its face is not seen."""

_NOTICE_BELOW = 0.5
"""If the remaining share of a face's strength falls below this, the user gets a notice."""


@dataclass(slots=True)
class _State:
    """Running averages and current share of one track."""

    comparison: Comparison
    recent: Comparison
    size: int
    share: float = 1.0
    """Current share of its strength that the face keeps."""
    cause: str = DRIFT
    """Reason for which the share was last lowered."""
    seen: deque[float] = field(default_factory=lambda: deque(maxlen=_USUAL_FRAMES))
    """Power of the source detail, with its noise, in recent frames."""
    added: deque[float] = field(default_factory=lambda: deque(maxlen=_USUAL_FRAMES))
    """Values of `Comparison.added` in recent frames."""
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
        """Move the share towards the value that the averages ask for.

        Args:
            sudden: Set the share to that value at once.
        """
        shares = {
            DRIFT: ramp(self.comparison.likeness, _LIKENESS),
            SOFTNESS: ramp(self.comparison.kept, _KEPT),
            BLUR: self._share_in_blur(),
        }
        wanted = min(shares[BLUR], shares[DRIFT] * shares[SOFTNESS])
        if wanted < self.share:
            self.cause = min(shares, key=lambda cause: shares[cause])
        pace = _MAX_BLUR_LOSS_PER_FRAME if self.cause == BLUR else _MAX_LOSS_PER_FRAME
        self.share = wanted if sudden else _stepped(self.share, wanted, pace)

    def _share_in_blur(self) -> float:
        """Return the share that a face keeps, from how much detail is missing and made up."""
        if len(self.seen) < _FEWEST_FRAMES:
            return 1.0
        usual_seen = float(np.quantile(self.seen, _SHARP_QUANTILE))
        usual_added = float(np.quantile(self.added, 1 - _SHARP_QUANTILE))
        seen = float(np.sqrt(self.recent.seen_fine / max(usual_seen, 1e-9)))
        added = self.recent.added / max(usual_added, 1e-9)
        blurred, made_up = 1 - ramp(seen, _SEEN), ramp(added, _ADDED)
        return 1 - (1 - _LEAST_IN_BLUR) * min(blurred, made_up)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A frame that is held back, with the shares of its faces."""

    item: TrackedFrame
    shares: dict[int, tuple[float, str]]
    """Share and the cause of its last decrease, by track ID."""


class BackOff(Stage[TrackedFrame, TrackedFrame]):
    """Lowers the strength of faces that drift, come out softer than they were, or are made up.

    Args:
        operations: Picture operations on the device in use.
        lookahead: Number of frames by which the strength is lowered in advance. This is needed
            because a face can go wrong faster than its strength may change.
    """

    def __init__(self, operations: Operations, *, lookahead: int = 0) -> None:
        self.lookahead = lookahead
        self._operations = operations
        self._waiting: deque[_Judged] = deque()
        self._lowered: dict[int, Lowered] = {}
        self._tracks: dict[int, _State] = {}

    @property
    def lowered(self) -> dict[int, Lowered]:
        """Decrease of strength by track ID. Only faces whose strength was lowered are included."""
        return self._lowered

    @property
    def notices(self) -> tuple[str, ...]:
        """Notice for the user if the strength of any face was lowered by much."""
        count = sum(lowered.lowest < _NOTICE_BELOW for lowered in self._lowered.values())
        if not count:
            return ()
        faces = "1 face" if count == 1 else f"{count} faces"
        return (f"less enhancement was applied to {faces} that came out wrong; see the report",)

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Take a frame, and return finished frames, in which faces that went wrong are weaker."""
        return self.push_all([item])

    def push_all(self, items: Sequence[TrackedFrame]) -> list[TrackedFrame]:
        """Take several frames, whose faces are compared together, and return finished frames."""
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
        """Finish the frames that are held back."""
        return [self._released() for _ in range(len(self._waiting))]

    def reset(self) -> None:
        """Discard all frames and tracks. The contents of `lowered` are kept for the report."""
        self._waiting.clear()
        self._tracks.clear()

    def _judged(self, item: TrackedFrame, found: Sequence[Comparison | None]) -> _Judged:
        shares = {f.track: self._judge(f, now) for f, now in zip(item.faces, found, strict=True)}
        for state in self._tracks.values():
            state.unseen += 1
        self._tracks = {k: s for k, s in self._tracks.items() if s.unseen < _FORGET_AFTER_FRAMES}
        return _Judged(item, shares)

    def _judge(self, face: Face, now: Comparison | None) -> tuple[float, str]:
        """Return the share that a face keeps of its strength, and why it was last lowered."""
        state = self._tracks.get(face.track)
        if now is None:
            # A result that is reused from an earlier frame keeps the share that it had there.
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
            # A face that is not enhanced in this frame needs no lowering in advance.
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


def _stepped(share: float, wanted: float, pace: float) -> float:
    """Return the share after one frame's step towards the wanted one. Ignore small differences."""
    if abs(wanted - share) < _DEAD_BAND and 0.0 < wanted < 1.0:
        return share
    return share + min(max(wanted - share, -pace), _MAX_LOSS_PER_FRAME / 2)
