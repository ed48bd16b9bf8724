"""The stage again, from a tracks file: the faces of each frame by its time, without looking."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from crsr_video.imaging.geometry import face_width
from crsr_video.track.smoothing import SIZE_RAMP, reason_too_small, smooth_step
from crsr_video.track.tracks_file import Recording, TrackColumns
from crsr_video.types import Face, Frame, TrackedFrame


class Replay:
    """Gives the faces that were recorded; no lookahead, no memory, so frames may be left out.

    Args: recording: of the same video.
          name: of its file, for messages.
          shift: ticks by which the frames' times are earlier than the video's own (`Source.shift`).
          min_face: width in frame pixels below which a face is left alone.
    """

    lookahead = 0

    def __init__(
        self, recording: Recording, name: Path, *, shift: int = 0, min_face: float = 0.0
    ) -> None:
        self._recording = recording
        self._name = name
        self._shift = shift
        self._min_face = min_face
        self._times = recording.times
        self._cuts = frozenset(recording.cuts.tolist())
        self._starts = np.array([track.pts[0] for track in recording.tracks], np.int64)
        self._ends = np.array([track.pts[-1] for track in recording.tracks], np.int64)
        self._missing = 0
        self._begun = False

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know, in words."""
        told = []
        least = self._recording.settings.min_face
        if self._min_face < least:
            told.append(
                f"{self._name} was made with --min-face {least:g}: smaller ones are left out"
            )
        if self._missing:
            told.append(f"{self._missing} frames are not in {self._name} and were left alone")
        return tuple(told)

    def push(self, item: Frame) -> list[TrackedFrame]:
        """The frame with its faces."""
        pts = item.pts + self._shift
        begins, self._begun = not self._begun, True
        if not self._has(pts):
            self._missing += 1
            return [TrackedFrame(item, cut=begins)]
        faces = [self._face(track, pts, item) for track in self._alive(pts)]
        cut = begins or pts in self._cuts
        return [TrackedFrame(item, tuple(face for face in faces if face is not None), cut)]

    def flush(self) -> list[TrackedFrame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """The next frame begins a scene."""
        self._begun = False

    def _has(self, pts: int) -> bool:
        at = int(np.searchsorted(self._times, pts))
        return at < len(self._times) and int(self._times[at]) == pts

    def _alive(self, pts: int) -> list[TrackColumns]:
        """Tracks that have begun and not ended."""
        found = np.flatnonzero((self._starts <= pts) & (pts <= self._ends))
        return [self._recording.tracks[index] for index in found]

    def _face(self, track: TrackColumns, pts: int, frame: Frame) -> Face | None:
        row = int(np.searchsorted(track.pts, pts))
        if int(track.pts[row]) != pts:
            return None
        face = track.face(row, self._recording.reasons)
        if self._min_face <= self._recording.settings.min_face or face.skipped is not None:
            return face
        return _at_least(self._min_face, face, float(frame.sample_aspect))


def _at_least(min_face: float, face: Face, sample_aspect: float) -> Face:
    """Return the face, skipped if it is too small, and less present if it nearly is."""
    width = face_width(face.landmarks, sample_aspect)
    if width < min_face:
        return replace(face, skipped=reason_too_small(min_face))
    return replace(
        face, presence=face.presence * smooth_step(min_face, SIZE_RAMP * min_face, width)
    )
