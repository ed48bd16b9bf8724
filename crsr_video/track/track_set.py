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
"""Faces that are tracked at once. Further ones are left alone until there is room."""
_UNCONFIRMED_FRAMES = 24
"""Frames after which a track that no second detection has confirmed is dropped."""
_UNCONFIRMED_SEARCH_EVERY = 3
"""Frames between two detector runs for such a track."""
_DOUBTFUL_SCORE = 0.5
_SCORE_NOISE = 0.1
_HOPELESS_SCORE = 0.05
_BESIDE_LOST = 1.0
"""Face sizes from a lost face within which a new one needs two detections."""
_MAX_SETTLING_RUNS = 2
"""Runs of the landmark model until a new face is observed as it will be in later frames."""
_SAME_WAY_UP = 0.5
"""Cosine of the angle between two eye lines above which they are about the same."""
_CLEARLY_SURER = 0.05
"""Detector's score that a face which stands another way up must have more than the track."""
_MISSED_FACTOR = 0.7
"""Factor on a track's detector score if a detector should have found the face and did not."""
_MIN_SIMILARITY = 0.25
"""Similarity below which the mesh has slipped on to something else."""
_MAX_EXTRA_RUNS = 4
"""Detector runs for single tracks in one frame. Further ones wait."""
_RUN_PER_REGION: dict[DetectorName, float] = {"full_range": 6.0, "short_range": 2.5}
"""Side of a detector's run for one track over the landmark model's region, where the detector
scores highest."""
_MIN_SHARE: dict[DetectorName, float] = {"full_range": 1 / 10, "short_range": 1 / 6}
"""Least side of the landmark model's region over that of a run in which the face is found."""

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
        """Frames for which a lost face keeps its track ID."""
        self.tracks: list[Track] = []
        """The current tracks, and those of faces lost recently."""
        self.refused = 0
        """Faces that were left alone because there were too many."""

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

        Args:
            frame: The frame.
            index: Its number.
            camera_shift: Motion of the picture since the frame before, (x, y) in pixels.
        """
        for track in self.tracks:
            track.camera_shift = track.camera_shift + camera_shift
            if index - track.last > SEARCH_FRAMES:
                continue
            expected = track.expected_region(index)
            seen = self._landmark_model.observe(frame, expected)
            seen = track.with_least_face_score(index, seen)
            is_itself = is_plausible(expected, seen.region)
            is_itself = is_itself and track.similarity(seen) > _MIN_SIMILARITY
            if is_itself and self._is_credible(track, seen):
                track.add(index, seen)
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
            The confirmed tracks that are observed in this frame, and the IDs of tracks that turned
            out to be others.
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
            runs: The runs that take place anyway.
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
        """Note the detection of a face in view, which may not be where the mesh is."""
        now = track.latest
        is_turned = bool(np.cos(now.region.angle - face.region.angle) < _SAME_WAY_UP)
        if is_turned and face.score > track.detector_score + _CLEARLY_SURER:
            self._observe_anew(track, face, frame, index, past)
            return
        agrees = is_same_place(now.region, face.region)
        is_sure = now.face_score > _DOUBTFUL_SCORE
        if is_sure and not agrees and face.score <= track.detector_score:
            return  # This is a part of the face, taken for a face in the corner of a tile.
        track.note_detection(index, face.score)
        if is_sure and agrees:
            return
        # The detector knows better where the face is than a mesh in doubt.
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
        """Observe a face again that was taken for one that stands another way up."""
        seen = self._observe_detection(frame, face)
        if face_confidence(face.score, seen.face_score, seen.size) >= MIN_CONFIDENCE:
            track.restart(index, seen, face.score)
            self._trace_back(track, past)

    def _resume(self, track: Track, face: Detection, seen: Observation, index: int) -> None:
        """Continue the track of a lost face that was detected.

        Where the mesh does not fit, as in profile, that lowers the confidence but keeps the track.
        """
        track.note_detection(index, face.score)
        track.trust_like(seen)
        if track.confirmed or self._is_credible(track, seen):
            track.add(index, seen)

    def _observe_detection(self, frame: Frame, face: Detection) -> Observation:
        """Observe a detected face, in the region from which later frames will start too."""
        first = self._landmark_model.observe(frame, face.region)
        if first.face_score < _HOPELESS_SCORE and not is_plausible(face.region, first.region):
            return replace(first, region=face.region)  # No mesh fits, so trust the detector.
        seen = self._landmark_model.observe(frame, first.region)
        # Settle where the next frame will be observed if the face rests, so that it does rest.
        for _ in range(_MAX_SETTLING_RUNS):
            if following_region(seen, np.zeros(2)) == seen.seen_in:
                break
            seen = self._landmark_model.observe(frame, seen.region)
        return confirmed_by(face, seen)

    def _begin(self, face: Detection, seen: Observation, index: int) -> None:
        """Begin a track for a new face, if the landmark model agrees that it is a face."""
        confidence = face_confidence(face.score, seen.face_score, seen.size)
        if seen.size < self._min_size or confidence < MIN_CONFIDENCE:
            return
        if len(self.tracks) >= MAX_TRACKS:
            self.refused += 1
            return
        track = Track(next(self._track_ids), face.score, last_detection=index)
        track.trust_like(seen)
        track.add(index, seen)
        # A face that shows up where another has just been lost is likely half of that face.
        lost = [t for t in self.tracks if t.confirmed and t.last < index]
        is_beside_lost = any(
            distance(t.expected_region(index), seen.region) < _BESIDE_LOST for t in lost
        )
        track.confirmed = min(face.score, seen.face_score) >= SURE_SCORE and not is_beside_lost
        self.tracks.append(track)

    def _trace_back(self, track: Track, past: PastFrames) -> None:
        """Observe a face, newly found or found again, in the frames before."""
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
        confidence = face_confidence(track.detector_score, seen.face_score, seen.size)
        return seen.size >= self._min_size and confidence >= MIN_CONFIDENCE

    def _has_ended(self, track: Track, index: int) -> bool:
        if not track.confirmed and index - track.last_detection > _UNCONFIRMED_FRAMES:
            return True
        return index - track.last > (self.memory_frames if track.confirmed else 2)

    def _separate(self, index: int) -> None:
        """Take a face from one of two tracks that share it."""
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
    """Return a run for one track: far around if the face is lost, else cheaply at its place."""
    detector: DetectorName = "full_range" if is_lost else "short_range"
    side = _RUN_PER_REGION[detector] * region.side
    return DetectorRun(square(region.x, region.y, side, region.angle), detector)


def _covers(run: DetectorRun, region: Region) -> bool:
    """Return whether a run should find a face: all of it is inside, and it is large enough."""
    inside = np.abs((region.x - run.region.x, region.y - run.region.y))
    room = np.array([run.region.width, run.region.height]) / 2 - region.side / 2
    least = _MIN_SHARE[run.detector] * run.region.side
    return bool((inside < room).all() and region.side > least)
