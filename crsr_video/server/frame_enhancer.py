"""Enhance the frames of one client, each as soon as it arrives."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video import pipeline
from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.parsing import parse_people
from crsr_video.server.protocol import EffectFlag, EffectSettings, FrameDone
from crsr_video.server.recorded_faces import RecordedFaces
from crsr_video.server.shared_models import SharedModels
from crsr_video.stages.base import Stage
from crsr_video.track.tracker import Tracker
from crsr_video.types import Face, Frame, PixelLayout, TrackedFrame

_RGB = PixelLayout("rgb24", "rgb", 8, full_range=True)
_ROW_STEP = 16
"""Distance between the rows that are compared to see whether a frame repeats the previous one."""
_GREEN, _GREY, _WHITE = (64, 255, 64), (160, 160, 160), 255

Picture = NDArray[np.uint8]


class FrameEnhancer(Closing):
    """Enhances the frames of one client in place.

    Args:
        shared: The models and workers that all clients share.
        settings: How the frames are enhanced.
    """

    def __init__(self, shared: SharedModels, settings: EffectSettings) -> None:
        self._shared, self._settings = shared, settings
        people, only = parse_people(settings.persons)
        config = EnhancerConfig.from_options(
            model=settings.model or "fast",
            min_face=settings.min_face,
            people=people,
            only=only,
            region="head" if EffectFlag.HEAD in settings.flags else "face",
        )
        self._worker = shared.take_worker()
        try:
            self._found = _FoundFaces()
            self._tracking = _TrackStage(self._stage_factory(settings))
            self._pipeline = self._worker.run(lambda: self._build(config))
        except BaseException:
            shared.leave_worker(self._worker)
            raise
        self._count = 0
        self._last: _Enhanced | None = None

    def change(self, settings: EffectSettings) -> bool:
        """Apply other settings, or return False if they need another `FrameEnhancer`."""
        if _without_changeable(settings) != _without_changeable(self._settings):
            return False
        self._settings = settings
        return True

    def enhance(self, picture: Picture) -> FrameDone:
        """Enhance the faces of a picture in place.

        Args:
            picture: uint8 (H, W, 4) RGBA. Alpha stays as it is.
        """
        flags = self._settings.flags
        done = self._last
        if done is None or not done.is_of(picture, self._settings.strength):
            self._last = None  # If this fails, the next frame starts from scratch.
            done = self._last = self._worker.run(lambda: self._run(picture))
        half = picture.shape[1] // 2 if flags & EffectFlag.COMPARE else 0
        for change in done.changes:
            skip = max(0, half - change.x)
            change.part(picture)[:, skip:] = change.after[:, skip:]
        draws_faces = bool(flags & EffectFlag.DEBUG and done.faces)
        if draws_faces:
            _draw(picture, done.faces)
        if half:
            picture[:, max(0, half - 1) : half + 1, :3] = _WHITE
        return FrameDone(
            changed=draws_faces or bool(half or done.changes),
            seen=len(done.faces),
            enhanced=sum(face.enhanced is not None for face in done.faces),
            notice="; ".join(self._tracking.notices),
        )

    def close(self) -> None:
        """Release the pipeline, and give the worker back."""
        self._last = None
        self._pipeline.close()
        self._shared.leave_worker(self._worker)

    def _build(self, config: EnhancerConfig) -> pipeline.Pipeline:
        # The networks are kept here as well, so that other clients find them in the cache.
        self._networks = self._worker.networks(config.networks.model)
        built = pipeline.build(config, live=True, tracker=self._tracking, networks=self._networks)
        # A method of this object would make a cycle, and keep the models until it is collected.
        built.observer = self._found.observe
        return built

    def _stage_factory(self, settings: EffectSettings) -> Callable[[], Stage[Frame, TrackedFrame]]:
        """Return a function that creates the stage that finds the faces."""
        if settings.tracks:
            path = Path(settings.tracks)
            index = self._shared.tracks(path)
            return lambda: RecordedFaces(index, path, settings.min_face)
        face_models = self._worker.run(self._worker.face_models)
        return lambda: Tracker(lookahead=0, min_face=settings.min_face, face_models=face_models)

    def _run(self, picture: Picture) -> "_Enhanced":
        """Push a picture through the pipeline. The picture stays as it is."""
        if not self._settings.flags & EffectFlag.ORDERED:
            self._pipeline.reset()
        self._tracking.strength = self._settings.strength
        self._found.faces = ()
        planes = self._worker.split(picture)
        frame = Frame(planes, _RGB, self._count, Fraction(1, 30), is_temporary=True)
        self._count += 1
        (done,) = self._pipeline.push(frame)
        changes = tuple(_change(picture, done, *patch.box) for patch in done.changed)
        return _Enhanced(
            picture[::_ROW_STEP].copy(), self._settings.strength, changes, self._found.faces
        )


class _FoundFaces:
    """The faces of the latest frame."""

    def __init__(self) -> None:
        self.faces: tuple[Face, ...] = ()

    def observe(self, item: TrackedFrame, _: Frame) -> None:
        """Note the faces of a frame."""
        self.faces = item.faces


class _TrackStage(Stage[Frame, TrackedFrame]):
    """The track stage: finds faces, and gives them the strength of the current settings."""

    def __init__(self, create: Callable[[], Stage[Frame, TrackedFrame]]) -> None:
        self._create = create
        self._stage = create()
        self.strength = 1.0

    @property
    def notices(self) -> tuple[str, ...]:
        return self._stage.notices

    def push(self, item: Frame) -> list[TrackedFrame]:
        return [
            replace(found, faces=tuple(replace(f, strength=self.strength) for f in found.faces))
            for found in self._stage.push(item)
        ]

    def flush(self) -> list[TrackedFrame]:
        return []

    def reset(self) -> None:
        """Restart the track IDs too, so that a frame on its own has the same IDs each time."""
        self._stage = self._create()


@dataclass(frozen=True, slots=True)
class _Change:
    """A rectangle of a frame, before and after: uint8 (h, w, 4).

    Alpha is the same in both. Whole pixels are copied 100 times faster than three of four channels.
    """

    x: int
    y: int
    before: Picture
    after: Picture

    def part(self, picture: Picture) -> Picture:
        """Return a view of the same rectangle of a picture."""
        height, width = self.before.shape[:2]
        return picture[self.y : self.y + height, self.x : self.x + width]


@dataclass(frozen=True, slots=True)
class _Enhanced:
    """Result of the latest frame, kept because editors often ask for a frame several times."""

    rows: Picture
    strength: float
    changes: tuple[_Change, ...]
    faces: tuple[Face, ...]

    def is_of(self, picture: Picture, strength: float) -> bool:
        """Return whether a picture and strength are those from which this result was computed."""
        return (
            self.strength == strength
            and np.array_equal(self.rows, picture[::_ROW_STEP])
            and all(np.array_equal(c.before, c.part(picture)) for c in self.changes)
        )


def _without_changeable(settings: EffectSettings) -> EffectSettings:
    """Return settings without the values that may change between two frames."""
    kept = settings.flags & (EffectFlag.ORDERED | EffectFlag.HEAD)
    return replace(settings, strength=0.0, flags=kept)


def _change(picture: Picture, done: Frame, x0: int, y0: int, x1: int, y1: int) -> _Change:
    before = picture[y0:y1, x0:x1].copy()
    colours = [plane[y0:y1, x0:x1] for plane in done.components]
    after: Picture = cv2.merge([*colours, before[..., 3]])
    return _Change(x0, y0, before, after)


def _draw(picture: Picture, faces: tuple[Face, ...]) -> None:
    """Draw boxes, track IDs and landmarks, in grey for faces that are left alone."""
    shown = np.ascontiguousarray(picture[..., :3])
    thickness = max(1, round(min(picture.shape[:2]) / 360))
    for face in faces:
        points = np.vstack([np.reshape(face.box, (2, 2)), face.landmarks])
        if not np.isfinite(points).all() or np.abs(points).max() > 1e5:
            continue
        (x0, y0), (x1, y1), *landmarks = np.rint(points).astype(int).tolist()
        colour = _GREY if face.enhanced is None else _GREEN
        cv2.rectangle(shown, (x0, y0), (x1, y1), colour, thickness)
        for x, y in landmarks:
            cv2.circle(shown, (x, y), 2 * thickness, colour, -1)
        label = f"{face.track} {face.confidence:.2f}"
        y = max(14 * thickness, y0 - 4 * thickness)
        cv2.putText(shown, label, (x0, y), 0, 0.5 * thickness, colour, thickness, cv2.LINE_AA)
    picture[..., :3] = shown
