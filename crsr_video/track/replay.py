"""The tracking stage that looks up the faces of each frame in a tracks file, by its time."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from crsr_video.imaging.geometry import face_width
from crsr_video.stages.base import Stage
from crsr_video.track.smoothing import SIZE_RAMP, reason_too_small, smooth_step
from crsr_video.track.tracks_file import Recording, TrackColumns
from crsr_video.types import Face, Frame, TrackedFrame


class Replay(Stage[Frame, TrackedFrame]):
    """Returns the recorded faces of each frame.

    The faces of a frame do not depend on other frames, so frames may be left out.
    """

    def __init__(
        self, recording: Recording, name: Path, *, shift: int = 0, min_face: float = 0.0
    ) -> None:
        """Create the stage.

        Args:
            recording: The content of a tracks file of the same video.
            name: Path of the tracks file, shown in messages.
            shift: Ticks by which the frames' times are earlier than the video's own
                (`Source.shift`).
            min_face: Width in frame pixels below which a face is skipped.
        """
        self._recording = recording
        self._name = name
        self._shift = shift
        self._min_face = min_face
        self._times = recording.times
        self._people = {track.id: track.person for track in recording.summaries}
        self._cuts = frozenset(recording.cuts.tolist())
        self._starts = np.array([track.pts[0] for track in recording.tracks], np.int64)
        self._ends = np.array([track.pts[-1] for track in recording.tracks], np.int64)
        self._missing = 0
        self._has_begun = False

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages for the user."""
        messages = []
        least = self._recording.settings.min_face
        if self._min_face < least:
            messages.append(
                f"{self._name} was made with `min_face` {least:g}, so it has no smaller faces"
            )
        if self._missing:
            frames = "1 frame is" if self._missing == 1 else f"{self._missing} frames are"
            messages.append(f"{frames} not in {self._name}: no faces were enhanced there")
        return tuple(messages)

    def push(self, item: Frame) -> list[TrackedFrame]:
        """Return the frame with its faces."""
        pts = item.pts + self._shift
        is_first, self._has_begun = not self._has_begun, True
        if not self._has_frame(pts):
            self._missing += 1
            return [TrackedFrame(item, cut=is_first)]
        faces = [self._face(track, pts, item) for track in self._tracks_at(pts)]
        cut = is_first or pts in self._cuts
        return [TrackedFrame(item, tuple(face for face in faces if face is not None), cut)]

    def reset(self) -> None:
        """Begin a new scene with the next frame."""
        self._has_begun = False

    def _has_frame(self, pts: int) -> bool:
        at = int(np.searchsorted(self._times, pts))
        return at < len(self._times) and int(self._times[at]) == pts

    def _tracks_at(self, pts: int) -> list[TrackColumns]:
        found = np.flatnonzero((self._starts <= pts) & (pts <= self._ends))
        return [self._recording.tracks[index] for index in found]

    def _face(self, track: TrackColumns, pts: int, frame: Frame) -> Face | None:
        row = int(np.searchsorted(track.pts, pts))
        if int(track.pts[row]) != pts:
            return None
        face = track.face(row, self._recording.reasons)
        face = replace(face, person=self._people[track.id])
        if self._min_face <= self._recording.settings.min_face or face.skipped is not None:
            return face
        width = face_width(face.landmarks, float(frame.sample_aspect))
        if width < self._min_face:
            return replace(face, skipped=reason_too_small(self._min_face))
        share = smooth_step(self._min_face, SIZE_RAMP * self._min_face, width)
        return replace(face, presence=face.presence * share)
