"""People: apply the user's settings for individual people.

This stage runs between track and align.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from crsr_video.config import PersonSettings
from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging.geometry import crop_side
from crsr_video.stages.base import Stage
from crsr_video.types import Face, TrackedFrame

OFF = "turned off by the user"
"""Reason that is recorded for a face that the user turned off."""

_ADVANTAGE = 1.25
"""Factor on the size of a face that is already among the largest, so that two faces of similar size
do not take turns."""
_FADE_PER_FRAME = 1 / 6
"""Largest change of a weight in one frame. One face fades out while another fades in."""
_STEADY = 0.1
"""Weight of a new measurement in the running average of a face's size."""
_FORGET_AFTER_FRAMES = 60
"""Number of frames for which a face that is out of sight is remembered."""

_DEFAULT = PersonSettings()


@dataclass(slots=True)
class _Candidate:
    """A face that may be among the largest."""

    size: float
    weight: float = 0.0
    """1 if the face is enhanced, 0 if not, in between while it fades, and -1 at first."""
    chosen: bool = False
    unseen: int = 0


class People(Stage[TrackedFrame, TrackedFrame]):
    """Marks each face with the user's settings for its person.

    Args:
        faces: Settings by person number.
        only: Numbers of the people to enhance. Defaults to all.
        most: Maximum number of faces to enhance at a time; the largest are chosen. Defaults to
            all.
    """

    def __init__(
        self,
        faces: Mapping[int, PersonSettings] | None = None,
        *,
        only: Collection[int] | None = None,
        most: int | None = None,
    ) -> None:
        self._faces = dict(faces or {})
        self._only = None if only is None else frozenset(only)
        self._most = most
        self._asked = {*self._faces, *(self._only or ())}
        self._seen: set[int] = set()
        self._candidates: dict[int, _Candidate] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """A notice about chosen people who were never found, if there are any."""
        missing = sorted(self._asked - self._seen)
        if not missing:
            return ()
        was = "was" if len(missing) == 1 else "were"
        there = f"the video has {_people(self._seen)}" if self._seen else "no face was found"
        return (f"{_people(missing)} {was} not found: {there}",)

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Return the frame, with the strength or the reason for skipping set on each face."""
        if item.cut:
            self.reset()
        self._seen.update(face.person_number for face in item.faces)
        faces = [self._settle(face) for face in item.faces]
        if self._most is not None:
            faces = self._largest(faces, float(item.frame.sample_aspect))
        return [replace(item, faces=tuple(faces))]

    def reset(self) -> None:
        """Forget which faces were large, but keep the people who were seen, for the notice."""
        self._candidates.clear()

    def _settle(self, face: Face) -> Face:
        """Apply the face's own settings, whatever its size."""
        chosen = self._faces.get(face.person_number, _DEFAULT)
        others = self._only is not None and face.person_number not in self._only
        if others or not chosen.enabled or chosen.strength == 0:
            return replace(face, skipped=OFF)
        return replace(face, strength=face.strength * chosen.strength)

    def _largest(self, faces: list[Face], aspect: float) -> list[Face]:
        """Skip all but the largest faces, and fade faces in and out where the choice changes."""
        assert self._most is not None
        seen = {f.track: _size(f, aspect) for f in faces if f.skipped is None}
        self._measure(seen)
        ranked = sorted(seen, key=lambda key: (-self._rank(self._candidates[key]), key))
        chosen = frozenset(ranked[: self._most])
        return [self._weigh(f, f.track in chosen) if f.track in seen else f for f in faces]

    def _measure(self, seen: dict[int, float]) -> None:
        for key, size in seen.items():
            candidate = self._candidates.setdefault(key, _Candidate(size, weight=-1.0))
            candidate.size += _STEADY * (size - candidate.size)
            candidate.unseen = -1
        for candidate in self._candidates.values():
            candidate.unseen += 1
        self._candidates = {
            k: c for k, c in self._candidates.items() if c.unseen <= _FORGET_AFTER_FRAMES
        }

    @staticmethod
    def _rank(candidate: _Candidate) -> float:
        return candidate.size * (_ADVANTAGE if candidate.chosen else 1.0)

    def _weigh(self, face: Face, chosen: bool) -> Face:
        candidate = self._candidates[face.track]
        goal = float(chosen)
        if candidate.weight < 0:  # This is the first frame of the face. The tracker fades it in.
            candidate.weight = goal
        candidate.weight += min(max(goal - candidate.weight, -_FADE_PER_FRAME), _FADE_PER_FRAME)
        candidate.chosen = chosen
        if candidate.weight < 1e-9:
            which = "the largest" if self._most == 1 else f"among the {self._most} largest"
            return replace(face, skipped=f"not {which}")
        return replace(face, strength=face.strength * candidate.weight)


def _size(face: Face, aspect: float) -> float:
    """Return the size by which faces are ranked. A face that fades in or out ranks lower."""
    try:
        return crop_side(face.landmarks, aspect) * face.presence
    except DegenerateFaceError:
        return 0.0


def _people(ids: Collection[int]) -> str:
    """Return person numbers in words, such as "person 3" or "people 1 to 4"."""
    return f"{'person' if len(ids) == 1 else 'people'} {ranges(ids)}"


def ranges(ids: Iterable[int]) -> str:
    """Return numbers in words, such as "1 to 4, 6 and 9"."""
    runs: list[list[int]] = []
    for key in sorted(ids):
        if runs and key == runs[-1][-1] + 1:
            runs[-1].append(key)
        else:
            runs.append([key])
    parts: list[str] = []
    for run in runs:
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(key) for key in run]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
