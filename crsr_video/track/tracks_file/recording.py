"""The content of a tracks file, and a recorder that collects it from tracked frames.

Positions are whole hundredths of a pixel, so writing and reading them again loses nothing. A face
takes 80 bytes per frame.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TracksError
from crsr_video.imaging.geometry import face_width
from crsr_video.track.tracks_file.signatures import SignaturePacker, signature_of
from crsr_video.types import Face, TrackedFrame

FORMAT = "crsr-video tracks"
VERSION = 1

HUNDREDTHS = 100
"""Units of a position per pixel."""
SHARES = 10_000
"""Units of confidence and presence per 1.0. They are stored with four decimals."""

MAX_BYTES = 256 << 20
"""Maximum size of a file in bytes, which is enough for about an hour and a half with ten faces."""
MAX_VALUES = 40_000_000
"""Maximum number of values in all lists of a file together."""
MAX_LISTS = 8_000_000
"""Maximum number of lists and objects in a file."""
MAX_FACES = 2_000_000
"""Maximum number of faces, summed over all frames. A file with this many faces is within the limits
above."""
FARTHEST = 1_000_000.0
"""Distance from the corner of the frame, in pixels, from which a position must be wrong."""
_COLUMNS = 17
"""Number of values per face besides the time: landmarks, box, confidence, presence and reason."""

Integers = NDArray[np.int64]
Units = NDArray[np.int32]
"""Integers in units of `HUNDREDTHS` or `SHARES`."""


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """The facts by which a tracks file recognises its video."""

    width: int
    """Width of the frames as coded, in pixels, before any rotation."""
    height: int
    """Height of the frames as coded."""
    time_base: Fraction
    """Seconds per tick. All times are in ticks."""
    rotation: int
    """Counter-clockwise rotation, in degrees, that a player applies. Only for information."""
    sample_aspect: Fraction
    """Width of a pixel divided by its height. Only for information."""
    bytes: int
    """Size of the file in bytes."""
    seconds: float
    """Duration that the container states, or 0 if it states none."""
    sha256: str
    """Fingerprint of the file; see `fingerprint.fingerprint_of`."""


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """The settings of the tracker."""

    min_face: float = 16.0
    """Width in frame pixels below which faces are marked as skipped."""
    lookahead: int = 8
    """Lookahead of the tracker in frames."""


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """A summary of one track."""

    id: int
    person: int
    """Number of the person, which tracks of the same person share."""
    first_frame: int
    """Number of the first frame with the face, from 0."""
    last_frame: int
    """Number of the last frame with the face."""
    first_seconds: float
    last_seconds: float
    frames: int
    size: float
    """Median width of the face in pixels."""
    thumbnail: str | None
    """``data:`` URL of a small JPEG, or None if there is none."""


@dataclass(frozen=True, slots=True)
class TrackColumns:
    """One track, with a column for each property of its face and a row for each frame."""

    id: int
    pts: Integers
    """(N,) times in ticks, ascending."""
    landmarks: Units
    """(N, 10): x and y of five points in hundredths of a frame pixel, see `geometry.TEMPLATE`."""
    boxes: Units
    """(N, 4): x0, y0, x1, y1 in hundredths of a frame pixel."""
    confidence: Units
    """(N,) in `SHARES`."""
    presence: Units
    """(N,) in `SHARES`."""
    skipped: Units
    """(N,): 0 if the face is enhanced, or n if it is skipped for reason n - 1 of
    `Recording.reasons`."""

    def face(self, row: int, reasons: tuple[str, ...]) -> Face:
        """Return the face of one row."""
        reason = int(self.skipped[row])
        x0, y0, x1, y1 = (self.boxes[row] / HUNDREDTHS).tolist()
        return Face(
            track=self.id,
            landmarks=(self.landmarks[row] / HUNDREDTHS).reshape(5, 2),
            box=(x0, y0, x1, y1),
            confidence=float(self.confidence[row] / SHARES),
            presence=float(self.presence[row] / SHARES),
            skipped=reasons[reason - 1] if reason else None,
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """The content of a tracks file."""

    generator: str
    """Program that wrote the file, with its version."""
    video: VideoFacts
    settings: TrackingSettings
    summaries: tuple[TrackSummary, ...]
    """Summaries of the tracks, ordered by ID. `people.people_of` returns the people."""
    times: Integers
    """(frames,) presentation time of every frame in ticks, ascending."""
    cuts: Integers
    """Times of the frames that begin a scene."""
    reasons: tuple[str, ...]
    """Reasons for which faces are skipped."""
    tracks: tuple[TrackColumns, ...]
    """The tracks, ordered by ID. The IDs are the same as in `summaries`."""
    signatures: str = ""
    """Packed signatures of all frames; see `signatures.unpack`. Empty if there are none."""


@dataclass(slots=True)
class _GrowingTrack:
    """A track as recorded so far."""

    first_frame: int
    last_frame: int = 0
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[int]" = field(default_factory=lambda: array("i"))
    """Values of the face, `_COLUMNS` of them per frame."""
    widths: "array[float]" = field(default_factory=lambda: array("f"))


class Recorder:
    """Collects tracked frames. It needs 80 bytes per face and frame, and 200 per frame."""

    def __init__(self) -> None:
        self._times = array("q")
        self._cuts: list[int] = []
        self._reasons: dict[str, int] = {}
        self._tracks: dict[int, _GrowingTrack] = {}
        self._faces = 0
        self._signatures = SignaturePacker()

    def add(self, item: TrackedFrame) -> None:
        """Add the next frame.

        Raises:
            TracksError: There are more faces than a file may hold.
        """
        self._times.append(item.frame.pts)
        self._signatures.add(signature_of(item.frame))
        if item.cut:
            self._cuts.append(item.frame.pts)
        for face in item.faces:
            self._add_face(face, item)

    def recording(
        self,
        video: VideoFacts,
        settings: TrackingSettings,
        generator: str,
        thumbnails: Mapping[int, str] | None = None,
        people: Mapping[int, int] | None = None,
    ) -> Recording:
        """Return the recording of all frames that were added so far.

        Args:
            video: The facts about the video.
            settings: The settings of the tracker.
            generator: Program that writes the file, with its version.
            thumbnails: ``data:`` URLs of pictures, by track ID.
            people: Numbers of people, by track ID. For tracks that are not in it, the number is the
                track ID.
        """
        pictures, numbers = thumbnails or {}, people or {}
        tracks = sorted(self._tracks.items())
        time_base = float(video.time_base)
        return Recording(
            generator=generator,
            video=video,
            settings=settings,
            summaries=tuple(
                _summary(key, numbers.get(key, key), t, time_base, pictures.get(key))
                for key, t in tracks
            ),
            times=np.array(self._times, np.int64),
            cuts=np.array(self._cuts, np.int64),
            reasons=tuple(self._reasons),
            tracks=tuple(_columns(key, track) for key, track in tracks),
            signatures=self._signatures.text(),
        )

    def _add_face(self, face: Face, item: TrackedFrame) -> None:
        points = [*face.landmarks.ravel().tolist(), *face.box]
        if not all(abs(value) < FARTHEST for value in points):  # This is false for NaN.
            return
        self._faces += 1
        if self._faces > MAX_FACES:
            raise TracksError(
                f"the video shows more than {MAX_FACES} faces, counted in every frame, "
                "the most that one tracks file holds"
            )
        number = len(self._times) - 1
        track = self._tracks.setdefault(face.track, _GrowingTrack(number))
        track.last_frame = number
        track.pts.append(item.frame.pts)
        reason = 0
        if face.skipped is not None:
            reason = self._reasons.setdefault(face.skipped, len(self._reasons) + 1)
        shares = (round(_in_shares(face.confidence)), round(_in_shares(face.presence)))
        track.values.extend(round(value * HUNDREDTHS) for value in points)
        track.values.extend((*shares, reason))
        track.widths.append(face_width(face.landmarks, float(item.frame.sample_aspect)))


def _in_shares(value: float) -> float:
    return min(max(value, 0.0), 1.0) * SHARES


def _summary(
    key: int, person: int, track: _GrowingTrack, time_base: float, thumbnail: str | None
) -> TrackSummary:
    return TrackSummary(
        id=key,
        person=person,
        first_frame=track.first_frame,
        last_frame=track.last_frame,
        first_seconds=round(track.pts[0] * time_base, 3),
        last_seconds=round(track.pts[-1] * time_base, 3),
        frames=len(track.pts),
        size=round(float(np.median(np.array(track.widths))), 1),
        thumbnail=thumbnail,
    )


def _columns(key: int, track: _GrowingTrack) -> TrackColumns:
    rows: Units = np.array(track.values, np.int32).reshape(-1, _COLUMNS)
    return TrackColumns(
        id=key,
        pts=np.array(track.pts, np.int64),
        landmarks=rows[:, :10],
        boxes=rows[:, 10:14],
        confidence=rows[:, 14],
        presence=rows[:, 15],
        skipped=rows[:, 16],
    )
