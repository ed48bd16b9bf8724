"""The tracks of one scene, continued from frame to frame."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from crsr_video.track.association import (
    confirmed_by,
    distance,
    is_same_face,
    is_same_place,
    match_detections,
    match_lost,
    recognised,
    worse_track,
)
from crsr_video.track.detection import Detection, DetectorName, DetectorRun
from crsr_video.track.landmarks import LandmarkModel, Observation
from crsr_video.track.regions import Region, square
from crsr_video.track.tracks import (
    MIN_CONFIDENCE,
    SEARCH_FRAMES,
    SURE_SCORE,
    Track,
    face_confidence,
    following_region,
    is_plausible,
)
from crsr_video.types import Frame

MAX_TRACKS = 128
"""Maximum number of faces tracked at once. Further faces are ignored until there is room."""
_UNCONFIRMED_FRAMES = 24
"""Frames after which a track that no second detection has confirmed is dropped."""
_UNCONFIRMED_SEARCH_EVERY = 3
"""Frames between two detector runs for such a track."""
_DOUBTFUL_SCORE = 0.5
_SCORE_NOISE = 0.1
_HOPELESS_SCORE = 0.05
_BESIDE_LOST = 1.0
"""Distance from a lost face, in face sizes, within which a new face needs two detections."""
_MAX_SETTLING_RUNS = 2
"""Maximum number of additional runs of the landmark model that let a new face's region settle."""
_SAME_WAY_UP = 0.5
"""Cosine of the angle between two eye lines above which both faces are about the same way up."""
_CLEARLY_SURER = 0.05
"""Amount by which the detector's score of a face in another orientation must exceed the track's."""
_MISSED_FACTOR = 0.7
"""Factor for a track's detector score if a detector should have found its face but did not."""
_MIN_SIMILARITY = 0.25
"""Similarity below which the mesh is assumed to have slipped to something else."""
_MAX_EXTRA_RUNS = 4
"""Maximum number of detector runs for single tracks in one frame. Further runs wait."""
_RUN_PER_REGION: dict[DetectorName, float] = {"full_range": 6.0, "short_range": 2.5}
"""Side of a detector run for one track, relative to that of the landmark model's region. Detectors
score highest at these ratios."""
_MIN_SHARE: dict[DetectorName, float] = {"full_range": 1 / 10, "short_range": 1 / 6}
"""Least side of the landmark model's region, relative to a run's, for the run to find the face."""

PastFrames = list[tuple[int, Frame]]
"""Earlier frames of the scene with their numbers, latest first."""


class TrackSet:
    """All tracks of the current scene."""

    def __init__(
        self, landmark_model: LandmarkModel, track_ids: Iterator[int], min_size: float
    ) -> None:
        """Create an empty set.

        Args:
            landmark_model: The loaded landmark model.
            track_ids: Numbers for new tracks, which never repeat.
            min_size: Size in pixels below which a face is not tracked.
        """
        self._landmark_model = landmark_model
        self._track_ids = track_ids
        self._min_size = min_size
        self.memory_frames = 30
        """Number of frames for which a lost face keeps its track ID."""
        self.tracks: list[Track] = []
        """The current tracks, and those of faces lost recently."""
        self.refused = 0
        """Number of times that a new face was ignored because there were too many tracks."""

    @property
    def regions(self) -> list[Region]:
        """The last region of every track."""
        return [track.latest.region for track in self.tracks]

    def sure_regions(self, index: int) -> list[Region]:
        """Return the regions of faces in this frame whose detections need no confirmation."""
        here = (t.latest for t in self.tracks if t.confirmed and t.last == index)
        return [seen.region for seen in here if seen.face_score >= _DOUBTFUL_SCORE]

    def follow(self, frame: Frame, index: int, camera_shift: NDArray[np.float64]) -> None:
        """Observe every face where it is expected, and end tracks lost for too long.

        A face that moves slowly and evenly is observed in every second frame only.

        Args:
            frame: The frame.
            index: Its number.
            camera_shift: Motion of the picture since the previous frame, (x, y) in pixels.
        """
        for track in self.tracks:
            track.camera_shift = track.camera_shift + camera_shift
            if index - track.last > SEARCH_FRAMES:
                continue
            if track.is_calm and track.last == index - 1:
                track.extrapolate(index)
                continue
            expected = track.expected_region(index)
            seen = self._landmark_model.observe(frame, expected)
            seen = track.with_least_face_score(index, seen)
            is_itself = is_plausible(expected, seen.region)
            is_itself = is_itself and track.similarity(seen) > _MIN_SIMILARITY
            if is_itself and self._is_credible(track, seen):
                track.add(index, seen)
            else:
                track.drop_extrapolated()
        self._separate(index)
        self.tracks = [track for track in self.tracks if not self._has_ended(track, index)]

    def update(
        self,
        frame: Frame,
        index: int,
        found: list[Detection],
        runs: Iterable[DetectorRun],
        past: PastFrames,
    ) -> tuple[list[Track], list[int]]:
        """Update the tracks by the detections in this frame.

        Args:
            frame: The frame.
            index: Its number.
            found: The detections.
            runs: The detector runs that gave them.
            past: Earlier frames of this scene, in which new faces are traced back.

        Returns:
            The confirmed tracks that are observed in this frame, and the IDs of tracks that were
            merged into others because they show the same face.
        """
        known = {track.id for track in self.tracks if track.confirmed and track.last == index}
        here = [track for track in self.tracks if track.last == index]
        away = [track for track in self.tracks if track.last != index]
        pairs = match_detections([track.latest.region for track in here], found)
        for row, column in pairs:
            self._reconcile(here[row], found[column], frame, index, past)
        matched = {column for _, column in pairs}
        others = [
            (face, self._observe_detection(frame, face))
            for column, face in enumerate(found)
            if column not in matched
        ]
        returned = match_lost(away, index, [observation for _, observation in others])
        for row, column in returned:
            self._resume(away[row], *others[column], index)
        detected = {row for row, _ in pairs}
        for row, track in enumerate(here):
            if row not in detected and any(_covers(run, track.latest.region) for run in runs):
                track.detector_score *= _MISSED_FACTOR
        matched = {column for _, column in returned}
        strangers = [other for column, other in enumerate(others) if column not in matched]
        for face, observation in sorted(strangers, key=lambda other: -other[1].size):
            self._begin(face, observation, index)
        self._separate(index)
        merged = self._merge_recognised(index)
        observed = [track for track in self.tracks if track.confirmed and track.last == index]
        for track in observed:
            if track.id not in known:
                self._trace_back(track, past)
        return observed, merged

    def extra_runs(
        self, index: int, usual_interval: int, runs: list[DetectorRun]
    ) -> list[DetectorRun]:
        """Return detector runs for faces that are in doubt, or have just been lost.

        Args:
            index: The number of the frame.
            usual_interval: Frames between two such runs for a track in doubt.
            runs: The runs that are already scheduled for this frame.
        """
        waiting = [(index - max(t.last_detection, t.last_search), t) for t in self.tracks]
        due = [(age, t) for age, t in waiting if age >= _interval(t, index, usual_interval)]
        extra: list[DetectorRun] = []
        for _, track in sorted(due, key=lambda pair: (-pair[0], pair[1].id)):
            if len(extra) >= _MAX_EXTRA_RUNS:
                break
            region = _region_in(track, index)
            if not any(_covers(run, region) for run in (*runs, *extra)):
                extra.append(_run_around(region, is_lost=track.last < index))
            track.last_search = index
        return extra

    def _reconcile(
        self, track: Track, face: Detection, frame: Frame, index: int, past: PastFrames
    ) -> None:
        """Update a track by the detection that matches it. The two may disagree about the place."""
        now = track.latest
        is_turned = bool(np.cos(now.region.angle - face.region.angle) < _SAME_WAY_UP)
        if is_turned and face.score > track.detector_score + _CLEARLY_SURER:
            self._observe_anew(track, face, frame, index, past)
            return
        agrees = is_same_place(now.region, face.region)
        is_sure = now.face_score > _DOUBTFUL_SCORE
        if is_sure and not agrees and face.score <= track.detector_score:
            return  # The detector took a part of the face at the edge of a tile for a whole face.
        track.note_detection(index, face.score)
        if is_sure and agrees:
            return
        # The detector is more reliable about the face's place than a doubtful mesh.
        seen = self._observe_detection(frame, face)
        is_worse = seen.face_score < now.face_score - _SCORE_NOISE
        if is_worse or not self._is_credible(track, seen):
            return
        track.trust_like(seen)
        if len(track.observations) > 1:
            track.retract(index)
            track.add(index, seen)

    def _observe_anew(
        self, track: Track, face: Detection, frame: Frame, index: int, past: PastFrames
    ) -> None:
        """Restart the track of a face that was observed in a wrong orientation."""
        seen = self._observe_detection(frame, face)
        if face_confidence(face.score, seen.face_score, seen.size, seen.yaw) >= MIN_CONFIDENCE:
            track.restart(index, seen, face.score)
            self._trace_back(track, past)

    def _resume(self, track: Track, face: Detection, seen: Observation, index: int) -> None:
        """Continue the track of a lost face that was detected again.

        A mesh that does not fit, as in profile, lowers the confidence, but does not end the track.
        """
        track.note_detection(index, face.score)
        track.trust_like(seen)
        if track.confirmed or self._is_credible(track, seen):
            track.add(index, seen)

    def _observe_detection(self, frame: Frame, face: Detection) -> Observation:
        """Observe a detected face in the region that later frames will also start from."""
        first = self._landmark_model.observe(frame, face.region)
        if first.face_score < _HOPELESS_SCORE and not is_plausible(face.region, first.region):
            return replace(first, region=face.region)  # No mesh fits, so trust the detector.
        seen = self._landmark_model.observe(frame, first.region)
        # Repeat until the region stays the same for a resting face, so that its landmarks rest too.
        for _ in range(_MAX_SETTLING_RUNS):
            if following_region(seen, np.zeros(2)) == seen.seen_in:
                break
            seen = self._landmark_model.observe(frame, seen.region)
        return confirmed_by(face, seen)

    def _begin(self, face: Detection, seen: Observation, index: int) -> None:
        """Begin a track for a new face, if the landmark model agrees that it is a face."""
        confidence = face_confidence(face.score, seen.face_score, seen.size, seen.yaw)
        if seen.size < self._min_size or confidence < MIN_CONFIDENCE:
            return
        if len(self.tracks) >= MAX_TRACKS:
            self.refused += 1
            return
        track = Track(next(self._track_ids), face.score, last_detection=index)
        track.trust_like(seen)
        track.add(index, seen)
        # A face that appears where another one has just been lost is probably half of that face.
        lost = [t for t in self.tracks if t.confirmed and t.last < index]
        is_beside_lost = any(
            distance(t.expected_region(index), seen.region) < _BESIDE_LOST for t in lost
        )
        track.confirmed = min(face.score, seen.face_score) >= SURE_SCORE and not is_beside_lost
        self.tracks.append(track)

    def _trace_back(self, track: Track, past: PastFrames) -> None:
        """Observe a face that was just found, or found again, in the earlier frames."""
        region = track.latest.region
        for index, frame in past:
            known = track.observations.get(index)
            if known is not None:
                region = known.region
                continue
            seen = self._landmark_model.observe(frame, region)
            others = (t.observations.get(index) for t in self.tracks if t is not track)
            is_taken = any(o is not None and is_same_face(o.region, seen.region) for o in others)
            if is_taken or not self._is_credible(track, seen):
                return
            if not is_plausible(region, seen.region):
                return
            track.insert(index, seen)
            region = seen.region

    def _merge_recognised(self, index: int) -> list[int]:
        merged = []
        for old, new in recognised(self.tracks, index):
            old.absorb(new)
            self.tracks.remove(new)
            merged.append(new.id)
        return merged

    def _is_credible(self, track: Track, seen: Observation) -> bool:
        confidence = track.confidence_in(seen)
        return seen.size >= self._min_size and confidence >= MIN_CONFIDENCE

    def _has_ended(self, track: Track, index: int) -> bool:
        if not track.confirmed and index - track.last_detection > _UNCONFIRMED_FRAMES:
            return True
        return index - track.last > (self.memory_frames if track.confirmed else 2)

    def _separate(self, index: int) -> None:
        """Remove this frame's observation from the worse of two tracks that share a face."""
        here = [track for track in self.tracks if index in track.observations]
        for a, b in combinations(here, 2):
            if index not in a.observations or index not in b.observations:
                continue
            if is_same_face(a.observations[index].region, b.observations[index].region):
                self._lose(worse_track(a, b, index), index)

    def _lose(self, track: Track, index: int) -> None:
        if len(track.observations) > 1:
            track.retract(index)
        elif track in self.tracks:
            self.tracks.remove(track)
            track.observations.clear()


def _interval(track: Track, index: int, usual: int) -> float:
    """Return the frames between two detector runs for a track."""
    if not track.confirmed:
        return _UNCONFIRMED_SEARCH_EVERY
    if track.last < index:
        return 1 if index - track.last <= SEARCH_FRAMES else usual
    return usual if track.latest.face_score < _DOUBTFUL_SCORE else np.inf


def _region_in(track: Track, index: int) -> Region:
    seen = track.observations.get(index)
    return track.expected_region(index) if seen is None else seen.region


def _run_around(region: Region, *, is_lost: bool) -> DetectorRun:
    """Return a run for one track: a wide one if its face is lost, else a cheap one around it."""
    detector: DetectorName = "full_range" if is_lost else "short_range"
    side = _RUN_PER_REGION[detector] * region.side
    return DetectorRun(square(region.x, region.y, side, region.angle), detector)


def _covers(run: DetectorRun, region: Region) -> bool:
    """Return whether a run should find a face: all of it is inside, and it is large enough."""
    inside = np.abs((region.x - run.region.x, region.y - run.region.y))
    room = np.array([run.region.width, run.region.height]) / 2 - region.side / 2
    least = _MIN_SHARE[run.detector] * run.region.side
    return bool((inside < room).all() and region.side > least)
