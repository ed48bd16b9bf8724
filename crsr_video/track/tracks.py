"""Tracks: one face over the frames of a scene, and the confidence in each observation of it."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from crsr_video.track.appearance import Appearance, similarity, updated, visibility
from crsr_video.track.landmarks import Observation
from crsr_video.track.regions import Region, square

SEARCH_FRAMES = 8
"""Number of frames for which a lost face is searched for at its expected position."""
MEMORY_SECONDS = 1.25
"""Seconds for which a lost face keeps its track ID, in case a detector finds it again."""
MIN_CONFIDENCE = 0.3
"""Confidence from which an observation is accepted."""
SURE_SCORE = 0.6
"""Detector's score, and face score, at which one detection confirms a track instead of two."""
DETECTED_FACE_SCORE = 0.1
"""Least face score of an observation whose eyes are where a detector sees them."""
_SLACK = 0.03
"""Share of its side by which the model's region may be off before it follows the face. The region
thus stays still on a still face, and so do the landmarks."""
_CALM = 0.008
"""Largest distance, in face sizes, of the landmarks from where constant velocity would take them,
for a face that may be left unobserved in the next frame. With 0.015, the jitter that
`evaluate-tracking` measures rose by 7 %; with 0.008, it stays the same."""
_CALM_SPEED = 0.02
"""Largest speed of such a face, in face sizes per frame."""
_SURELY_SEEN = 0.5
"""Least face score of such a face."""
_UNCHANGED = 0.7
"""Similarity of a face that has not changed since it was last observed."""
_TRUST_IN_SIZE = ((0.05, 0.5), (0.2, 1.0))
"""Face scores, and the shares of a measured change of size that are accepted with them."""

_DOUBT = (0.12, 0.3)
"""Weight of the face score of a small face or a turned head, and of a large frontal face."""
_TURNED = (0.5, 0.8)
"""Yaw in radians over which the weight falls from the one to the other."""


def face_confidence(
    detector_score: float, face_score: float, size: float, yaw: float = 0.0
) -> float:
    """Return the confidence that an observation is of a face, 0 to 1.

    The landmark model's face score is reliable for large sharp faces, but low for most faces below
    40 pixels even when the points are right. For these, the detector's score counts, and counts
    less the more the face score contradicts it. A head that is turned far to a side has a low face
    score at any size, so there the contradiction counts as little as for a small face.

    Args:
        detector_score: The latest score of a detector.
        face_score: The landmark model's score.
        size: Size of the face in pixels.
        yaw: Rotation of the head to a side in radians.
    """
    large = min(np.interp(size, (32, 64), (0, 1)), np.interp(abs(yaw), _TURNED, (1, 0)))
    doubt = _DOUBT[0] + large * (_DOUBT[1] - _DOUBT[0])
    by_detector = (detector_score + doubt * np.log10(max(face_score, 1e-4)) - 0.3) / 0.4
    return float(np.clip(max(by_detector, (face_score - 0.6) / 0.35), 0, 1))


@dataclass(slots=True, eq=False)
class Track:
    """One face over the frames of one scene. Observations that are no longer needed are dropped."""

    id: int
    detector_score: float
    """The detector's score, averaged over the last detections."""
    observations: dict[int, Observation] = field(default_factory=dict)
    """Observations by frame number, ascending."""
    confidences: dict[int, float] = field(default_factory=dict)
    """Confidence that the observation shows this face unobstructed, by frame number."""
    detections: int = 1
    """Number of frames in which a detector found the face."""
    last_detection: int = 0
    """The latest frame in which a detector found the face."""
    last_search: int = 0
    """Frame in which a detector was last run for this track."""
    confirmed: bool = False
    """Whether enough detections agree that this is a face."""
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    """Motion of the centre in pixels per frame, without the motion of the camera."""
    camera_shift: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    """Motion of the picture caused by the camera since the last observation, in pixels."""
    region: Region | None = None
    """The landmark model's region for the frame after the last observation."""
    birth: tuple[int, Observation] | None = None
    """The first frame, and the observation in it."""
    least_face_score: float = 0.0
    """Minimum to which face scores are raised after a detector agreed with an observation."""
    appearance: Appearance | None = None
    is_calm: bool = False
    """Whether the last observation was where it was expected, so that the next may be left out."""
    extrapolated: int | None = None
    """The last frame if its observation was extrapolated."""

    @property
    def last(self) -> int:
        """Frame of the last observation."""
        return next(reversed(self.observations))

    @property
    def latest(self) -> Observation:
        """The last observation."""
        return self.observations[self.last]

    def add(self, index: int, observation: Observation) -> None:
        """Add an observation at the end."""
        self.is_calm = False
        if self.observations:
            moved = observation.region.centre - self.latest.region.centre - self.camera_shift
            self.is_calm = index - self.last == 1 and self._is_expected(observation)
            self.velocity = (self.velocity + moved / (index - self.last)) / 2
        # Smoothing fits a line over the gap, which is better than an extrapolated position.
        self.drop_extrapolated()
        self.camera_shift = np.zeros(2)
        self.region = following_region(observation, self.velocity)
        self.birth = self.birth or (index, observation)
        self.observations[index] = observation
        self._judge(index, observation)
        seen = observation.appearance
        self.appearance = seen if self.appearance is None else updated(self.appearance, seen)

    def _is_expected(self, observation: Observation) -> bool:
        """Return whether a slow face has its points where constant velocity takes them."""
        expected = self.latest.points + self.velocity + self.camera_shift
        error = np.abs(observation.points - expected).max() / observation.size
        speed = np.hypot(*self.velocity) / observation.size
        is_sure = self.confirmed and observation.face_score > _SURELY_SEEN
        return is_sure and bool(error < _CALM and speed < _CALM_SPEED)

    def extrapolate(self, index: int) -> None:
        """Add an observation at constant velocity for one frame, without running the model."""
        shift = self.velocity + self.camera_shift
        seen, region = self.latest, self.expected_region(index)
        self.confidences[index] = self.confidences[self.last]
        self.observations[index] = replace(
            seen,
            points=seen.points + shift,
            box=seen.box + np.tile(shift, 2),
            region=seen.region.moved(*shift),
            seen_in=region,
        )
        self.region = region.moved(*self.velocity)
        self.camera_shift = np.zeros(2)
        self.is_calm, self.extrapolated = False, index

    def drop_extrapolated(self) -> None:
        """Remove the extrapolated observation, because the frame after it was observed."""
        if self.extrapolated is not None:
            self.observations.pop(self.extrapolated, None)
            self.confidences.pop(self.extrapolated, None)
            self.extrapolated = None

    def insert(self, index: int, observation: Observation) -> None:
        """Add an observation from before the last one."""
        self.observations = dict(sorted({**self.observations, index: observation}.items()))
        self._judge(index, observation)

    def similarity(self, observation: Observation) -> float:
        """Return the similarity to the known appearance; 1 if none is known."""
        if self.appearance is None:
            return 1.0
        return similarity(self.appearance, observation.appearance)

    def with_least_face_score(self, index: int, observation: Observation) -> Observation:
        """Return an observation whose face score is raised to `least_face_score`.

        It is returned as it is if the last detection is too old or the face looks different.
        """
        is_old = index - self.last_detection > SEARCH_FRAMES
        is_better = observation.face_score >= self.least_face_score
        if is_old or is_better or self.similarity(observation) < _UNCHANGED:
            return observation
        return replace(observation, face_score=self.least_face_score)

    def confidence_in(self, observation: Observation) -> float:
        """Return the confidence that an observation is of this face."""
        seen = observation
        return face_confidence(self.detector_score, seen.face_score, seen.size, seen.yaw)

    def _judge(self, index: int, observation: Observation) -> None:
        confidence = self.confidence_in(observation)
        self.confidences[index] = confidence * visibility(self.similarity(observation))

    def end_of_run(self, index: int, max_gap: int) -> int | None:
        """Return the last frame up to which the face is observed without long gaps.

        Args:
            index: The frame from which to look.
            max_gap: Frames without an observation that a run may bridge.

        Returns:
            The frame. It is before `index` if the face is not observed at or soon after `index`.
            None if the face is not observed at or before `index`.
        """
        end = max((i for i in self.observations if i <= index), default=None)
        for later in self.observations:
            if end is not None and end < later <= end + max_gap + 1:
                end = later
        return end

    def retract(self, index: int) -> None:
        """Remove the observation of a frame, unless it is the only one."""
        if len(self.observations) > 1:
            self.observations.pop(index, None)
            before = list(self.observations)[-2:]
            moved = self.latest.region.centre - self.observations[before[0]].region.centre
            self.velocity = moved / max(1, before[-1] - before[0])
            self.region = self.latest.region.moved(*self.velocity)

    def absorb(self, other: "Track") -> None:
        """Take over the observations and the state of a later track that is of the same face."""
        self.observations.update(other.observations)
        self.confidences.update(other.confidences)
        self.velocity, self.region = other.velocity, other.region
        self.camera_shift = other.camera_shift
        self.detector_score, self.least_face_score = other.detector_score, other.least_face_score
        self.last_detection, self.last_search = other.last_detection, other.last_search
        self.appearance, self.extrapolated = other.appearance, other.extrapolated

    def restart(self, index: int, observation: Observation, detector_score: float) -> None:
        """Replace all observations, which were wrong, by this one."""
        self.observations.clear()
        self.confidences.clear()
        self.appearance, self.detector_score = None, detector_score
        self.last_detection = index
        self.trust_like(observation)
        self.add(index, observation)

    def trust_like(self, observation: Observation) -> None:
        """Set `least_face_score` from an observation that a detector agreed with."""
        self.least_face_score = min(observation.face_score, DETECTED_FACE_SCORE)

    def note_detection(self, index: int, score: float) -> None:
        """Note that a detector found the face."""
        # One good detection says more than one bad one, because it is seldom good by chance.
        rate = 0.5 if score > self.detector_score else 0.25
        self.detector_score += rate * (score - self.detector_score)
        self.detections += index != self.last_detection
        self.last_detection = index
        self.confirmed |= self.detections >= 2

    def expected_region(self, index: int) -> Region:
        """Return the region in a frame after the last observation, at constant velocity."""
        region = self.region or self.latest.region
        ahead = min(index - self.last - 1, SEARCH_FRAMES)
        return region.moved(*(self.camera_shift + self.velocity * max(0, ahead)))

    def forget_before(self, index: int) -> None:
        """Drop the observations from before a frame, except the last one."""
        for old in [i for i in self.observations if i < index and i != self.last]:
            del self.observations[old]
            self.confidences.pop(old, None)


def is_plausible(expected: Region, found: Region) -> bool:
    """Return whether a face that was expected in one region can be in another."""
    jump = float(np.hypot(*(found.centre - expected.centre))) / expected.side
    return jump < 0.35 and 0.6 < found.side / expected.side < 1.6


def following_region(observation: Observation, velocity: NDArray[np.float64]) -> Region:
    """Return the landmark model's region for the next frame."""
    before, ahead = observation.seen_in, observation.region.moved(*velocity)
    # An uncertain observation moves the region but hardly resizes it, or its size would drift.
    share = float(np.interp(observation.face_score, *_TRUST_IN_SIZE))
    side = before.side + share * (ahead.side - before.side)
    return _steadied(before, square(ahead.x, ahead.y, side, ahead.angle))


def _steadied(old: Region, new: Region) -> Region:
    """Move `old` towards `new` until they differ by no more than the slack."""
    room = _SLACK * new.side
    side = float(np.clip(old.side, new.side - room, new.side + room))
    x = float(np.clip(old.x, new.x - room, new.x + room))
    y = float(np.clip(old.y, new.y - room, new.y + room))
    turn = (old.angle - new.angle + np.pi) % (2 * np.pi) - np.pi
    return square(x, y, side, new.angle + float(np.clip(turn, -_SLACK, _SLACK)))
