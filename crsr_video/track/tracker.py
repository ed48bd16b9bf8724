"""The tracking stage: takes frames, and returns them with their faces."""

from collections import deque
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np

from crsr_video.closing import Closing
from crsr_video.stages.base import Stage, frames_to_hold
from crsr_video.stopwatch import Stopwatch
from crsr_video.track.detection import Detector, DetectorRun
from crsr_video.track.landmarks import LandmarkModel
from crsr_video.track.regions import view_of
from crsr_video.track.scenes import CutDetector, Luma, camera_shift, thumbnail
from crsr_video.track.search import SearchSchedule
from crsr_video.track.smoothing import RAMP, FaceSmoother
from crsr_video.track.track_set import MAX_TRACKS, TrackSet
from crsr_video.track.tracks import MEMORY_SECONDS, Track
from crsr_video.types import Frame, TrackedFrame

PARTS = ("cuts", "detect", "landmarks", "associate", "smooth")
"""Steps of the tracker that are timed, in the order of the work."""
_MIN_SIZE = 0.75
"""Width from which a face is tracked, relative to `min_face`, as the face may still grow."""


@dataclass(frozen=True, slots=True)
class TrackerStatistics:
    """Counts and times since a tracker was created."""

    frames: int = 0
    cuts: int = 0
    """Number of scenes after the first one."""
    tracks: int = 0
    """Number of faces with a track ID of their own."""
    detector_runs: int = 0
    landmark_runs: int = 0
    refused: int = 0
    """Number of times a face was left alone because too many were already tracked."""
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))


class FaceModels(Closing):
    """The loaded models of a tracker. Trackers that take turns may share them."""

    def __init__(self, models: Path | None = None) -> None:
        """Load the models.

        Args:
            models: Folder with the model files. By default, `face_models` finds them.

        Raises:
            FaceModelError: A model is missing or cannot be run.
        """
        self.landmark_model = LandmarkModel(models)
        self.detector = Detector(models)

    def close(self) -> None:
        """Free the models."""
        self.detector.close()
        self.landmark_model.close()


@dataclass(slots=True)
class _Scene:
    """The frames between two cuts."""

    first: int
    last: int
    is_open: bool = True
    tracks: dict[int, Track] = field(default_factory=dict)
    """Confirmed tracks by ID, including those that ended but appear in frames still held back."""


class _FrameRate:
    """Measures the frame rate from the timestamps of the frames."""

    _BOUNDS = (15, 150)

    def __init__(self) -> None:
        self._previous: float | None = None
        self._period_seconds = 1 / 25

    def frames_in(self, seconds: float, frame: Frame) -> int:
        """Take the next frame, and return how many frames this duration has, within `_BOUNDS`."""
        before, self._previous = self._previous, frame.seconds
        if before is not None and 0 < frame.seconds - before < 1:
            self._period_seconds += 0.1 * (frame.seconds - before - self._period_seconds)
        return int(np.clip(seconds / self._period_seconds, *self._BOUNDS))


@dataclass(frozen=True, slots=True)
class _HeldFrame:
    """A frame that is held back until the frames after it are known."""

    index: int
    frame: Frame
    scene: _Scene


class Tracker(Closing, Stage[Frame, TrackedFrame]):
    """Detects and tracks faces, with one track ID per face in a scene and steady landmarks.

    Detectors search the whole frame when a scene begins, and a part of it every few frames after
    that. In the frames between, the landmark model follows each face. Close the tracker, or use it
    as a context manager.
    """

    def __init__(
        self,
        *,
        lookahead: int = 8,
        min_face: float = 16.0,
        models: Path | None = None,
        sweep_every: int = 12,
        face_models: FaceModels | None = None,
    ) -> None:
        """Load the models.

        Args:
            lookahead: Number of frames to hold back, so that smoothing has no lag, gaps can be
                filled, and faces that will appear or disappear are known in advance. With 0, every
                frame is returned at once.
            min_face: Width in frame pixels below which a face is marked as skipped.
            models: Folder with the model files. By default, `face_models` finds them.
            sweep_every: Number of frames between two searches of the whole frame. In the frames
                between, tiles are searched.
            face_models: Loaded models. The caller closes them. If trackers share them, the counts
                of runs in `statistics` include the runs of all these trackers.

        Raises:
            ValueError: `lookahead` is negative, or `sweep_every` is below 1.
        """
        if lookahead < 0 or sweep_every < 1:
            raise ValueError("lookahead must be at least 0 and sweep_every at least 1")
        self.lookahead = lookahead
        self._min_face = min_face
        self._sweep_every = sweep_every
        self._owns_models = face_models is None
        self._models = face_models or FaceModels(models)
        self._watch = Stopwatch()
        self._track_ids = count(1)
        self._frames = self._cuts = self._confirmed = self._refused = 0
        self._track_set = self._new_track_set()
        self._thumbnail: Luma | None = None
        self._scene: _Scene | None = None
        self.reset()

    @property
    def statistics(self) -> TrackerStatistics:
        """Counts and times since the tracker was created."""
        return TrackerStatistics(
            frames=self._frames,
            cuts=self._cuts,
            tracks=self._confirmed,
            detector_runs=self._models.detector.runs,
            landmark_runs=self._models.landmark_model.runs,
            refused=self._refused + self._track_set.refused,
            seconds=dict.fromkeys(PARTS, 0.0) | self._watch.seconds,
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages for the user."""
        if not self.statistics.refused:
            return ()
        return (f"more than {MAX_TRACKS} faces at once: the others were left alone",)

    def push(self, item: Frame) -> list[TrackedFrame]:
        """Take the next frame, and return the frames that are complete, in order."""
        index = self._frames
        self._frames += 1
        with self._watch("cuts"):
            before, luma = self._thumbnail, thumbnail(item)
            self._thumbnail = luma
            is_cut = self._cut_detector.push(luma)
        view = view_of(item)
        if is_cut or before is None or self._scene is None:
            scene = self._begin_scene(index)
            runs = self._schedule.begin(view, luma, index)
        else:
            scene = self._scene
            scene.last = index
            self._track_set.memory_frames = self._frame_rate.frames_in(MEMORY_SECONDS, item)
            with self._watch("landmarks"):
                shift = camera_shift(before, luma) * view.width
                self._track_set.follow(item, index, shift)
            runs = self._schedule.next(view, luma, index, self._track_set.regions)
        self._detect(item, index, scene, runs)
        self._held.append(_HeldFrame(index, item, scene))
        self._smoother.clock.add(index, item.seconds)
        return self._release(frames_to_hold(self.lookahead, item))

    def flush(self) -> list[TrackedFrame]:
        """End the stream, and return the frames held back. The next frame begins a scene."""
        if self._scene is not None:
            self._scene.is_open = False
        rest = self._release(0)
        self.reset()
        return rest

    def reset(self) -> None:
        """Forget all frames and faces. Track IDs are not used again."""
        self._cut_detector = CutDetector()
        self._thumbnail = None
        self._schedule = SearchSchedule(self._sweep_every, min_face=self._min_face)
        self._clear_tracks()
        self._smoother = FaceSmoother(self.lookahead, self._min_face)
        self._frame_rate = _FrameRate()
        self._scene = None
        self._held: deque[_HeldFrame] = deque()

    def close(self) -> None:
        """Free the models, unless they belong to the caller."""
        if self._owns_models:
            self._models.close()

    def _begin_scene(self, index: int) -> _Scene:
        if self._scene is not None:
            self._scene.is_open = False
            self._cuts += 1
        self._scene = _Scene(index, index)
        self._clear_tracks()
        return self._scene

    def _clear_tracks(self) -> None:
        self._refused += self._track_set.refused
        self._track_set = self._new_track_set()

    def _new_track_set(self) -> TrackSet:
        model, min_size = self._models.landmark_model, _MIN_SIZE * self._min_face
        return TrackSet(model, self._track_ids, min_size)

    def _detect(self, frame: Frame, index: int, scene: _Scene, runs: list[DetectorRun]) -> None:
        runs = runs + self._track_set.extra_runs(index, self._sweep_every // 2, runs)
        if not runs:
            return
        with self._watch("detect"):
            sure = self._track_set.sure_regions(index)
            found = self._models.detector.detect(frame, runs, sure)
        past = [(h.index, h.frame) for h in reversed(self._held) if h.scene is scene]
        with self._watch("associate"):
            observed, merged = self._track_set.update(frame, index, found, runs, past)
        before = len(scene.tracks)
        scene.tracks |= {track.id: track for track in observed}
        for track_id in merged:
            scene.tracks.pop(track_id, None)
        self._confirmed += len(scene.tracks) - before

    def _release(self, keep: int) -> list[TrackedFrame]:
        """Complete and return all held frames except the last `keep`."""
        with self._watch("smooth"):
            done = []
            while len(self._held) > keep:
                done.append(self._complete(self._held.popleft()))
            return done

    def _complete(self, held: _HeldFrame) -> TrackedFrame:
        index, scene = held.index, held.scene
        begins, view = index == scene.first, view_of(held.frame)
        faces = [
            self._smoother.face(track, index, begins_scene=begins, horizon=scene.last, view=view)
            for track in scene.tracks.values()
        ]
        self._forget(index, scene)
        return TrackedFrame(held.frame, tuple(face for face in faces if face), cut=begins)

    def _forget(self, index: int, scene: _Scene) -> None:
        """Drop the state that no later frame needs."""
        is_over = not scene.is_open and index >= scene.last
        scene.tracks = {
            track_id: track
            for track_id, track in scene.tracks.items()
            if not is_over and (track in self._track_set.tracks or track.last + RAMP > index)
        }
        self._smoother.keep_only(set(scene.tracks))
        for track in scene.tracks.values():
            track.forget_before(index - self.lookahead)
