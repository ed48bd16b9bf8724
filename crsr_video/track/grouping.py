"""Group the tracks that show the same person, such as those before and after a cut.

The recognition network embeds a few good frames of each track. Tracks whose embeddings are close
belong to one person, unless both are seen at the same time. The number of a person is the ID of
their first track, so that later tracks never change existing numbers.

`crsr-video evaluate-tracking --people` measures the accuracy of the grouping.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging.geometry import crop_from_frame, face_width, nose_offset
from crsr_video.stages.base import Stage
from crsr_video.track.recognition import (
    Chip,
    Embedding,
    FaceRecogniser,
    chip_of,
    installed_recogniser,
)
from crsr_video.types import Face, Frame, TrackedFrame

_MAX_DISTANCES = ((24.0, 40.0, 60.0), (0.28, 0.42, 0.47))
"""Face widths in pixels, and the maximum distance of two embeddings of one person at each width.

The limits are lower for small faces, which look more alike. On real clips, the closest embeddings
of different people were 0.32, 0.40 and 0.50 apart. The embeddings of the two halves of one track
were less than 0.27 apart for 90 of 100 tracks."""
_MIN_WIDTH_PX = 20.0
"""Width of a face below which it cannot be recognised."""
_USEFUL_WIDTH_PX = 120.0
"""Width of a face above which recognition does not improve."""
_MAX_SAMPLES = 5
"""Maximum number of frames of each track that are embedded."""
_SAMPLE_GAP = 6
"""Minimum distance in frames between two embedded frames of a track."""
_BETTER = 1.3
"""A new frame replaces the worst embedded frame if its score is higher by this factor."""
_MAX_NOSE_OFFSET = 0.55
"""Offset of the nose, in eye distances, above which a face is turned too far to a side to be
recognised. Without this limit, a man in profile was taken for another man.
"""
_MIN_PRESENCE = 0.5
"""Minimum presence of a face that counts as seen. A track that fades out overlaps the next one."""
_MAX_OVERLAP = 3
"""Maximum number of frames in which two tracks of one person may be seen at the same time."""
_MAX_TRACKS = 2000
"""Maximum number of tracks that are grouped. Each track beyond the longest ones stays separate."""
_STRANGERS = 1e6
"""Relative distance of two tracks that cannot be one person."""


@dataclass(slots=True)
class _Sample:
    """One frame of a track."""

    score: float
    frame: int
    width: float
    chip: Chip | None
    """The picture to embed, or None once it has been embedded."""
    embedding: Embedding = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(slots=True)
class _Track:
    """Embeddings and frame numbers of one track so far."""

    id: int
    person: int
    """The number of the person, as far as it is known from the frames so far."""
    samples: list[_Sample] = field(default_factory=list)
    frames: "array[int]" = field(default_factory=lambda: array("I"))
    """Numbers of the frames in which the face is seen, ascending."""

    @property
    def embedding(self) -> Embedding:
        """The mean embedding."""
        mean: Embedding = np.mean([sample.embedding for sample in self.samples], axis=0)
        return mean

    @property
    def width(self) -> float:
        """The median width of the face in the samples."""
        return float(np.median([sample.width for sample in self.samples]))

    def wants(self, score: float, frame: int) -> bool:
        """Return whether a frame with this score should be sampled."""
        if self.samples and frame - self.samples[-1].frame < _SAMPLE_GAP:
            return False
        worst = min((sample.score for sample in self.samples), default=0.0)
        return score > (0 if len(self.samples) < _MAX_SAMPLES else _BETTER * worst)

    def add(self, sample: _Sample) -> None:
        """Add a sample. It replaces the worst one if the track has the maximum number."""
        if len(self.samples) >= _MAX_SAMPLES:
            self.samples.remove(min(self.samples, key=lambda other: other.score))
        self.samples.append(sample)

    def overlaps(self, other: "_Track") -> bool:
        """Return whether both tracks are seen at the same time."""
        if self.frames[0] > other.frames[-1] or other.frames[0] > self.frames[-1]:
            return False
        shared = np.intersect1d(np.asarray(self.frames), np.asarray(other.frames))
        return len(shared) > _MAX_OVERLAP


class PeopleGrouper(Stage[TrackedFrame, TrackedFrame]):
    """Finds out which tracks show the same person.

    Each frame that passes gets the numbers that are known at that time (`Face.person`). After the
    last frame, `people` returns the final numbers, which take all frames into account.
    """

    def __init__(self, recogniser: FaceRecogniser | None = None) -> None:
        """Create the stage.

        Args:
            recogniser: Computes the embeddings. Defaults to the installed network, which is loaded
                when there are two tracks. If none is installed, every track is its own person.
        """
        self._recogniser = recogniser
        self._has_looked = recogniser is not None
        self._tracks: dict[int, _Track] = {}
        self._frame = 0

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages for the user."""
        if self._recogniser is not None or not self._has_looked:
            return ()
        return ("people are not recognised after cuts: run 'crsr-video models --fetch' once",)

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Return the frame with the number of each person, as far as it is known.

        A frame whose faces have numbers, such as those of a tracks file, is returned as it is.
        """
        if all(face.person for face in item.faces):
            return [item]
        self._frame += 1
        seen = [face for face in item.faces if face.presence >= _MIN_PRESENCE]
        for face in item.faces:
            self._tracks.setdefault(face.track, _Track(face.track, face.track))
        for face in seen:
            self._sample(face, item.frame)
            self._tracks[face.track].frames.append(self._frame)
        if self._embed():
            for face in seen:
                self._assign(self._tracks[face.track], [other.track for other in seen])
        faces = (replace(face, person=self._tracks[face.track].person) for face in item.faces)
        return [replace(item, faces=tuple(faces))]

    def people(self) -> dict[int, int]:
        """Return the number of the person for each track ID."""
        known = [track for track in self._tracks.values() if track.samples]
        known = sorted(known, key=lambda track: -len(track.frames))[:_MAX_TRACKS]
        people = {key: key for key in sorted(self._tracks)}
        if len(known) < 2 or not self._embed():
            return people
        from scipy.cluster.hierarchy import fcluster, linkage  # SciPy loads slowly.

        clusters = fcluster(linkage(_relative_distances(known), "average"), 1.0, "distance")
        first: dict[int, int] = {}
        for track, cluster in sorted(zip(known, clusters, strict=True), key=lambda p: p[0].id):
            people[track.id] = first.setdefault(int(cluster), track.id)
        return people

    def _sample(self, face: Face, frame: Frame) -> None:
        track, score = self._tracks[face.track], _score(face, frame)
        if score <= 0 or not track.wants(score, self._frame):
            return
        aspect = float(frame.sample_aspect)
        try:
            chip = chip_of(frame, crop_from_frame(face.landmarks, 1, aspect))
        except DegenerateFaceError:
            return
        track.add(_Sample(score, self._frame, face_width(face.landmarks, aspect), chip))

    def _embed(self) -> bool:
        """Embed all samples if there are two tracks, and return whether all are embedded."""
        sampled = [track for track in self._tracks.values() if track.samples]
        if len(sampled) < 2:
            return False
        if not self._has_looked:
            self._recogniser, self._has_looked = installed_recogniser(), True
        if self._recogniser is None:
            return False
        for sample in (sample for track in sampled for sample in track.samples):
            if sample.chip is not None:
                sample.embedding, sample.chip = self._recogniser.embed([sample.chip])[0], None
        return True

    def _assign(self, track: _Track, here: Sequence[int]) -> None:
        """Give a track the number of the person that it resembles most, if there is one."""
        is_new = bool(track.samples) and track.samples[-1].frame == self._frame
        if not is_new or track.person != track.id:
            return
        taken = {self._tracks[key].person for key in here if key != track.id}
        people: dict[int, list[float]] = {}
        for other in self._tracks.values():
            if other.samples and other.id < track.id and other.person not in taken:
                people.setdefault(other.person, []).append(_relative_distance(track, other))
        distances = {number: float(np.mean(found)) for number, found in people.items()}
        best = min(distances, key=lambda number: distances[number], default=0)
        if best and distances[best] < 1:
            track.person = best


def _score(face: Face, frame: Frame) -> float:
    """Return a score that is highest for large, frontal and complete faces in plain view."""
    width = face_width(face.landmarks, float(frame.sample_aspect))
    x0, y0, x1, y1 = face.box
    is_inside = x0 >= 0 and y0 >= 0 and x1 < frame.width and y1 < frame.height
    offset = nose_offset(face.landmarks)
    if width < _MIN_WIDTH_PX or not is_inside or offset > _MAX_NOSE_OFFSET:
        return 0.0
    frontal = 1 / (1 + (3 * offset) ** 2)
    return min(width, _USEFUL_WIDTH_PX) * frontal * face.confidence * face.presence


def _relative_distance(a: _Track, b: _Track) -> float:
    """Return the distance of two tracks, divided by the maximum distance for one person."""
    limit = np.interp(min(a.width, b.width), *_MAX_DISTANCES)
    return float(np.linalg.norm(a.embedding - b.embedding) / limit)


def _relative_distances(tracks: Sequence[_Track]) -> NDArray[np.float64]:
    """Return the relative distances of all pairs of tracks, in the order that SciPy expects."""
    embeddings = np.array([track.embedding for track in tracks], np.float64)
    widths = np.array([track.width for track in tracks])
    squares = (embeddings**2).sum(1)
    products = embeddings @ embeddings.T
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * products, 0))
    limits = np.interp(np.minimum(widths[:, None], widths[None]), *_MAX_DISTANCES)
    relative = distances / limits
    for a, b in np.argwhere(np.triu(relative < 1, 1)):
        if tracks[a].overlaps(tracks[b]):
            relative[a, b] = relative[b, a] = _STRANGERS
    np.fill_diagonal(relative, 0)
    pairs: NDArray[np.float64] = relative[np.triu_indices(len(relative), 1)]
    return pairs
