"""What becomes of a track's sightings: the face that the next stages see."""

from dataclasses import dataclass
from math import radians

import numpy as np

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging.geometry import FACE_WIDTHS_PER_CROP, Points, apply, crop_side
from crsr_video.track.smooth import RAMP, Array, OneEuro, fade_out, smooth, step
from crsr_video.track.tracks import Track
from crsr_video.track.view import View
from crsr_video.types import Face

_PROFILE = (radians(35), radians(55))
"""Yaw from which a face counts less, and at which not at all."""
_CLEAR = (0.25, 0.5)
"""Likewise for confidence."""
_INSIDE = (0.4, 0.75)
"""Likewise for the share of the face that is inside the frame."""
_LEAST_TRUST = 0.02
_SIZE_RAMP = 1.15
"""Times the least size at which presence is full."""


@dataclass(slots=True)
class _Memory:
    """What must be known of the frame before."""

    presence: float = 0.0
    points: OneEuro | None = None
    box: OneEuro | None = None


class Settler:
    """Makes faces of tracks, frame by frame."""

    def __init__(self, lookahead: int, min_face: float) -> None:
        """Start.

        Args: lookahead: frames known ahead. min_face: width in frame pixels.
        """
        self._lookahead = lookahead
        self._min_face = min_face
        self._memories: dict[int, _Memory] = {}

    def face(self, track: Track, at: int, begins: bool, horizon: int, view: View) -> Face | None:
        """The face in one frame, or None if the track does not reach there.

        Frames of a track are to be asked for in order, each once.
        Args: begins: the frame is the first of its scene. horizon: latest frame looked at, or the
              scene's last.
        """
        end = track.end_of_run(at, self._lookahead)
        fade = 0.0 if end is None else fade_out(at, end, horizon, self._lookahead)
        if fade <= 0:
            self._memories.pop(track.id, None)
            return None
        memory = self._memories.setdefault(track.id, _Memory())
        points, box = self._steady(track, at, memory)
        confidence, yaw = _quality(track, at)
        width = face_width(points)
        wanted = step(*_CLEAR, confidence) * step(*_INSIDE, _visible(box, view))
        if self._min_face > 0:
            wanted *= step(self._min_face, _SIZE_RAMP * self._min_face, width)
        if not begins:
            pace = 1 / (RAMP + 1)
            wanted = float(np.clip(wanted, memory.presence - pace, memory.presence + pace))
        memory.presence = min(wanted, fade)
        return Face(
            track=track.id,
            landmarks=apply(view.frame_from_upright, points),
            box=_frame_box(box, view),
            confidence=confidence,
            presence=memory.presence,
            skipped=self._reason(width, yaw, memory.presence),
        )

    def forget(self, alive: set[int]) -> None:
        """Drop what is known of other tracks."""
        self._memories = {key: self._memories[key] for key in self._memories if key in alive}

    def _steady(self, track: Track, at: int, memory: _Memory) -> tuple[Points, Array]:
        if self._lookahead > 0:
            return _smoothed(track, at, self._lookahead)
        sighting = track.sightings.get(at)
        if memory.points is None or memory.box is None:
            memory.points, memory.box = OneEuro(), OneEuro()
        latest = sighting or track.latest
        points = memory.points(latest.points.ravel(), latest.size)
        return points.reshape(5, 2), memory.box(latest.box, latest.size)

    def _reason(self, width: float, yaw: float, presence: float) -> str | None:
        if width < self._min_face:
            return f"smaller than {self._min_face:g} px"
        if presence > 0:
            return None
        return "turned too far to a side" if yaw > _PROFILE[0] else "not seen clearly"


def face_width(points: Points) -> float:
    """Width of a face by its five landmarks, (5, 2) in upright pixels; 0 if they coincide."""
    try:
        return crop_side(points) / FACE_WIDTHS_PER_CROP
    except DegenerateFaceError:
        return 0.0


def _smoothed(track: Track, at: int, reach: int) -> tuple[Points, Array]:
    near = [i for i in track.sightings if abs(i - at) <= reach] or [track.last]
    times = np.array(near, np.float64)
    seen = [track.sightings[i] for i in near]
    points = np.array([s.points.ravel() for s in seen])
    boxes = np.array([s.box for s in seen])
    size = float(np.mean([s.size for s in seen]))
    at_last = min(at, near[-1])  # beyond what is known, the face stays where it was
    # A mesh in doubt, on a face that is covered or turned, is led by those before and after.
    trust = np.array([_LEAST_TRUST + track.beliefs[i] for i in near])
    values = smooth(times, np.hstack([points, boxes]), points, at_last, size, trust)
    return values[:10].reshape(5, 2), values[10:]


def _quality(track: Track, at: int) -> tuple[float, float]:
    """Confidence, 0 to 1, and yaw, radians, averaged over the frames about."""
    times = np.array(list(track.sightings), np.float64)
    values = np.array([(track.beliefs[i], abs(s.yaw)) for i, s in track.sightings.items()])
    weight = np.exp(-0.5 * ((times - at) / 2) ** 2) + 1e-12
    trust, yaw = weight @ values / weight.sum()
    return float(trust * (1 - step(*_PROFILE, float(yaw)))), float(yaw)


def _visible(box: Array, view: View) -> float:
    """Share of a box that lies inside the frame."""
    inside = np.clip(box, -0.5, np.tile([view.width, view.height], 2) - 0.5)
    return float((inside[2:] - inside[:2]).prod() / max(1e-9, (box[2:] - box[:2]).prod()))


def _frame_box(box: Array, view: View) -> tuple[float, float, float, float]:
    corners = apply(view.frame_from_upright, box[[0, 1, 2, 1, 0, 3, 2, 3]].reshape(4, 2))
    (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
    return float(x0), float(y0), float(x1), float(y1)
