"""The stage: frames in, frames with faces out."""

from collections import deque
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from crsr_video.closing import Closing
from crsr_video.track.camera import shift
from crsr_video.track.cuts import CutDetector, Luma, thumbnail
from crsr_video.track.detect import Detector, Look
from crsr_video.track.follow import MOST_FACES, Crowd
from crsr_video.track.landmarks import Landmarker
from crsr_video.track.patrol import Patrol
from crsr_video.track.settle import Settler
from crsr_video.track.smooth import RAMP
from crsr_video.track.stats import Stopwatch, TrackerStats
from crsr_video.track.tracks import MEMORY, Track
from crsr_video.track.view import view_of
from crsr_video.types import Frame, TrackedFrame

_LEAST_SIZE = 0.75
"""Face size worth following over the least width that is enhanced: it may yet grow."""


@dataclass(slots=True)
class _Scene:
    """What lies between two cuts."""

    start: int
    last: int
    """Latest frame so far."""
    open: bool = True


class _Pace:
    """How many frames go into a time, by the times of the frames themselves."""

    _BOUNDS = (15, 150)

    def __init__(self) -> None:
        self._previous: float | None = None
        self._period = 1 / 25
        """Seconds, averaged."""

    def frames(self, frame: Frame, seconds: float) -> int:
        """Take in the next frame; how many like it last for so long."""
        before, self._previous = self._previous, frame.seconds
        if before is not None and 0 < frame.seconds - before < 1:
            self._period += 0.1 * (frame.seconds - before - self._period)
        return int(np.clip(seconds / self._period, *self._BOUNDS))


@dataclass(frozen=True, slots=True)
class _Held:
    """A frame that waits for those after it."""

    index: int
    frame: Frame
    scene: _Scene


class Eyes(Closing):
    """The models that a tracker looks with; trackers that take turns may share them."""

    def __init__(self, models: Path | None = None) -> None:
        """Load them.

        Args:   models: folder with MediaPipe's model files; None: the cache, see `face_models`.
        Raises: FaceModelError: a model is missing or cannot be run.
        """
        self.landmarker = Landmarker(models)
        self.detector = Detector(models)

    def close(self) -> None:
        """Release the models."""
        self.detector.close()
        self.landmarker.close()


class Tracker(Closing):
    """Finds faces and follows them: one id for each face in a scene, steady landmarks, no lag.

    Detectors look at everything when a scene begins and at a little in every few frames after;
    in between, the landmark model follows each face. To be closed, or used as a context manager.
    """

    def __init__(
        self,
        *,
        lookahead: int = 8,
        min_face: float = 16.0,
        models: Path | None = None,
        sweep_every: int = 12,
        eyes: Eyes | None = None,
    ) -> None:
        """Load the models.

        Args:   lookahead: frames to hold back, so that smoothing has no lag, gaps can be filled,
                and a face is seen coming and going; 0 answers at once.
                min_face: width in frame pixels below which a face is marked as skipped.
                models: folder with MediaPipe's model files; None: the cache, see `face_models`.
                sweep_every: frames between two looks at the whole frame; tiles come in between.
                eyes: loaded models, which stay the caller's; counts of looks are theirs.
        Raises: ValueError: lookahead is negative or sweep_every below one.
                FaceModelError: a model is missing or cannot be run.
        """
        if lookahead < 0 or sweep_every < 1:
            raise ValueError("lookahead must not be negative and sweep_every at least 1")
        self._lookahead = lookahead
        self._min_face = min_face
        self._sweep_every = sweep_every
        self._own_eyes = Eyes(models) if eyes is None else None
        seeing = eyes or self._own_eyes
        assert seeing is not None
        self._landmarker, self._detector = seeing.landmarker, seeing.detector
        self._watch = Stopwatch()
        self._thumbnail: Luma | None = None
        self._ids = count(1)
        self._frames = self._cuts_found = self._confirmed = self._refused = 0
        self._crowd = self._new_crowd()
        self.reset()

    @property
    def lookahead(self) -> int:
        """Frames held back."""
        return self._lookahead

    @property
    def stats(self) -> TrackerStats:
        """Counts and times since the tracker was made."""
        return TrackerStats(
            frames=self._frames,
            cuts=self._cuts_found,
            tracks=self._confirmed,
            looks=self._detector.calls,
            landmark_calls=self._landmarker.calls,
            refused=self._refused + self._crowd.refused,
            **{f"{part}_ms": ms for part, ms in self._watch.ms.items()},
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know, in words."""
        if not self.stats.refused:
            return ()
        return (f"there were more than {MOST_FACES} faces at once: further ones were left alone",)

    def push(self, item: Frame) -> list[TrackedFrame]:
        """Take the next frame; return those that are settled, in order."""
        index = self._frames
        self._frames += 1
        with self._watch.time("cuts"):
            before, luma = self._thumbnail, thumbnail(item)
            self._thumbnail = luma
            is_cut = self._cuts.push(luma)
        view = view_of(item)
        if is_cut or before is None or self._scene is None:
            scene = self._begin_scene(index)
            looks = self._patrol.begin(view, luma, index)
        else:
            scene = self._scene
            scene.last = index
            self._crowd.memory = self._pace.frames(item, MEMORY)
            with self._watch.time("landmarks"):
                self._crowd.follow(item, index, shift(before, luma) * view.width)
            looks = self._patrol.next(view, luma, index, self._crowd.regions)
        self._sweep(item, index, scene, looks)
        self._held.append(_Held(index, item, scene))
        return self._release(self._lookahead)

    def flush(self) -> list[TrackedFrame]:
        """End of stream: return the frames held back; the next one pushed begins a scene."""
        if self._scene is not None:
            self._scene.open = False
        rest = self._release(0)
        self.reset()
        return rest

    def reset(self) -> None:
        """Forget all frames and faces; ids go on."""
        self._cuts = CutDetector()
        self._thumbnail = None
        self._patrol = Patrol(self._sweep_every, least=self._min_face)
        self._disperse()
        self._settler = Settler(self._lookahead, self._min_face)
        self._pace = _Pace()
        self._scene: _Scene | None = None
        self._held: deque[_Held] = deque()
        self._shown: dict[int, tuple[Track, _Scene]] = {}
        """Confirmed tracks by id, those that have ended too as long as they are to be shown."""

    def close(self) -> None:
        """Release the models, if they are its own."""
        if self._own_eyes is not None:
            self._own_eyes.close()

    def _begin_scene(self, index: int) -> _Scene:
        if self._scene is not None:
            self._scene.open = False
            self._cuts_found += 1
        self._scene = _Scene(index, index)
        self._disperse()
        return self._scene

    def _disperse(self) -> None:
        """Begin with an empty crowd; what the one before had to refuse stays counted."""
        self._refused += self._crowd.refused
        self._crowd = self._new_crowd()

    def _new_crowd(self) -> Crowd:
        return Crowd(self._landmarker, self._ids, _LEAST_SIZE * self._min_face)

    def _sweep(self, frame: Frame, index: int, scene: _Scene, looks: list[Look]) -> None:
        looks = looks + self._crowd.doubtful(index, self._sweep_every // 2, looks)
        if not looks:
            return
        with self._watch.time("detect"):
            found = self._detector.look(frame, looks, self._crowd.known(index))
        past = [(h.index, h.frame) for h in reversed(self._held) if h.scene is scene]
        with self._watch.time("associate"):
            seen = self._crowd.meet(frame, index, found, looks, past)
        before = len(self._shown)
        self._shown.update({track.id: (track, scene) for track in seen})
        while self._crowd.merged:
            self._shown.pop(self._crowd.merged.pop(), None)
        self._confirmed += len(self._shown) - before

    def _release(self, keep: int) -> list[TrackedFrame]:
        """Settle all held frames but the last `keep`."""
        with self._watch.time("smooth"):
            done = []
            while len(self._held) > keep:
                done.append(self._settle(self._held.popleft()))
            return done

    def _settle(self, held: _Held) -> TrackedFrame:
        index, scene = held.index, held.scene
        faces = [
            self._settler.face(track, index, index == scene.start, scene.last, view_of(held.frame))
            for track, home in self._shown.values()
            if home is scene
        ]
        self._forget(index, scene)
        return TrackedFrame(
            held.frame, tuple(face for face in faces if face), cut=index == scene.start
        )

    def _forget(self, index: int, scene: _Scene) -> None:
        """Drop what no later frame needs."""
        over = not scene.open and index >= scene.last
        self._shown = {
            key: (track, home)
            for key, (track, home) in self._shown.items()
            if not (over and home is scene)
            and (track in self._crowd.tracks or track.last + RAMP > index)
        }
        self._settler.forget(set(self._shown))
        for track, _ in self._shown.values():
            track.forget(index - self._lookahead)
