"""From tracked frames to a recording, in a few bytes a face."""

from array import array
from dataclasses import dataclass, field

import numpy as np

from crsr_video.errors import TracksError
from crsr_video.imaging.geometry import face_width
from crsr_video.track.tracks_file.pictures import Packer, tiny
from crsr_video.track.tracks_file.recording import (
    FARTHEST,
    HUNDREDTHS,
    MAX_FACES,
    SHARES,
    Hundredths,
    Person,
    Recording,
    Settings,
    TrackColumns,
    VideoFacts,
)
from crsr_video.types import Face, TrackedFrame

_COLUMNS = 17
"""Numbers a face besides the time: landmarks, box, confidence, presence, reason."""


@dataclass(slots=True)
class _Column:
    """One face so far."""

    first_frame: int
    last_frame: int = 0
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[int]" = field(default_factory=lambda: array("i"))
    """`_COLUMNS` a row."""
    widths: "array[float]" = field(default_factory=lambda: array("f"))


class Recorder:
    """Collects tracked frames; memory grows by 80 bytes a face and frame, and 200 a frame."""

    def __init__(self) -> None:
        self._times = array("q")
        self._cuts: list[int] = []
        self._reasons: dict[str, int] = {}
        self._columns: dict[int, _Column] = {}
        self._faces = 0
        self._pictures = Packer()

    def add(self, item: TrackedFrame) -> None:
        """Take the next frame.

        Raises: TracksError: there are more faces than a file may hold.
        """
        self._times.append(item.frame.pts)
        self._pictures.add(tiny(item.frame))
        if item.cut:
            self._cuts.append(item.frame.pts)
        for face in item.faces:
            self._add(face, item)

    def recording(
        self,
        video: VideoFacts,
        settings: Settings,
        generator: str,
        thumbnails: dict[int, str] | None = None,
    ) -> Recording:
        """All of it.

        Args: thumbnails: by id, as ``data:`` addresses.
        """
        pictures = thumbnails or {}
        columns = sorted(self._columns.items())
        base = float(video.time_base)
        return Recording(
            generator=generator,
            video=video,
            settings=settings,
            people=tuple(_person(key, c, base, pictures.get(key)) for key, c in columns),
            times=np.array(self._times, np.int64),
            cuts=np.array(self._cuts, np.int64),
            reasons=tuple(self._reasons),
            tracks=tuple(_track(key, column) for key, column in columns),
            pictures=self._pictures.text(),
        )

    def _add(self, face: Face, item: TrackedFrame) -> None:
        points = [*face.landmarks.ravel().tolist(), *face.box]
        if not all(abs(value) < FARTHEST for value in points):  # false for NaN
            return
        self._faces += 1
        if self._faces > MAX_FACES:
            raise TracksError(
                f"more than {MAX_FACES} pictures of faces, the most that one tracks file holds"
            )
        number = len(self._times) - 1
        column = self._columns.setdefault(face.track, _Column(number))
        column.last_frame = number
        column.pts.append(item.frame.pts)
        why = 0
        if face.skipped is not None:
            why = self._reasons.setdefault(face.skipped, len(self._reasons) + 1)
        column.values.extend(round(value * HUNDREDTHS) for value in points)
        column.values.extend((round(_share(face.confidence)), round(_share(face.presence)), why))
        column.widths.append(face_width(face.landmarks, float(item.frame.sample_aspect)))


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0) * SHARES


def _person(key: int, column: _Column, base: float, thumbnail: str | None) -> Person:
    return Person(
        id=key,
        first_frame=column.first_frame,
        last_frame=column.last_frame,
        first_seconds=round(column.pts[0] * base, 3),
        last_seconds=round(column.pts[-1] * base, 3),
        frames=len(column.pts),
        size=round(float(np.median(np.array(column.widths))), 1),
        thumbnail=thumbnail,
    )


def _track(key: int, column: _Column) -> TrackColumns:
    rows: Hundredths = np.array(column.values, np.int32).reshape(-1, _COLUMNS)
    return TrackColumns(
        id=key,
        pts=np.array(column.pts, np.int64),
        landmarks=rows[:, :10],
        boxes=rows[:, 10:14],
        confidence=rows[:, 14],
        presence=rows[:, 15],
        skipped=rows[:, 16],
    )
