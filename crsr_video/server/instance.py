"""One client's pipeline, and what it remembers from frame to frame."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video import pipeline
from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig, parse_people
from crsr_video.server.answers import Done
from crsr_video.server.recall import Recall
from crsr_video.server.requests import Settings, Wish
from crsr_video.server.workshop import Workshop
from crsr_video.track.tracker import Tracker
from crsr_video.types import Face, Frame, PixelLayout, Stage, TrackedFrame

_RGB = PixelLayout("rgb24", "rgb", 8, full_range=True)
_EVERY = 16
"""Of so many rows one is compared to see whether a frame is the one before once more."""
_GREEN, _GREY, _WHITE = (64, 255, 64), (160, 160, 160), 255

Picture = NDArray[np.uint8]


class _Finder:
    """The track stage: looks for faces, or recalls them, and gives them the run's strength."""

    lookahead = 0

    def __init__(self, make: Callable[[], Stage[Frame, TrackedFrame]]) -> None:
        self._make = make
        self._stage = make()
        self.strength = 1.0

    @property
    def notices(self) -> tuple[str, ...]:
        """Of whoever looks."""
        return tuple(getattr(self._stage, "notices", ()))

    def push(self, item: Frame) -> list[TrackedFrame]:
        """The frame with its faces."""
        return [
            replace(found, faces=tuple(replace(f, strength=self.strength) for f in found.faces))
            for found in self._stage.push(item)
        ]

    def flush(self) -> list[TrackedFrame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """Begin anew, numbers of faces too, so that a frame alone gives the same each time."""
        self._stage = self._make()


@dataclass(frozen=True, slots=True)
class _Change:
    """A part of a frame, before and after."""

    x: int
    y: int
    before: Picture
    """(h, w, 3)."""
    after: Picture

    def part(self, picture: Picture) -> Picture:
        """The same part of a picture, without alpha: a view."""
        height, width = self.before.shape[:2]
        return picture[self.y : self.y + height, self.x : self.x + width, :3]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What became of the last frame."""

    rows: Picture
    strength: float
    changes: tuple[_Change, ...]
    faces: tuple[Face, ...]

    def fits(self, picture: Picture, strength: float) -> bool:
        """Whether a picture is that frame, as it was."""
        return (
            self.strength == strength
            and np.array_equal(self.rows, picture[::_EVERY])
            and all(np.array_equal(c.before, c.part(picture)) for c in self.changes)
        )


class Instance(Closing):
    """Enhances the frames of one client, in place."""

    def __init__(self, workshop: Workshop, settings: Settings) -> None:
        """Build what the settings ask for.

        Raises: CrsrError: they cannot be met.
        """
        self._workshop, self._settings = workshop, settings
        people, only = parse_people(settings.persons)
        config = EnhancerConfig.from_options(
            model=settings.model or "fast",
            min_face=settings.min_face,
            people=people,
            only=only,
        )
        self._bench = workshop.bench()
        try:
            self._finder = _Finder(self._looker(settings))
            self._pipeline = self._bench.work(lambda: self._built(config))
        except BaseException:
            workshop.leave(self._bench)
            raise
        self._faces: tuple[Face, ...] = ()
        self._count = 0
        self._last: _Seen | None = None

    def change(self, settings: Settings) -> bool:
        """Take other settings; False: they need another instance."""
        same = replace(settings, strength=0.0, wishes=settings.wishes & Wish.ORDERED)
        mine = self._settings
        if same != replace(mine, strength=0.0, wishes=mine.wishes & Wish.ORDERED):
            return False
        self._settings = settings
        return True

    def enhance(self, picture: Picture) -> Done:
        """Enhance the faces of a picture where it lies.

        Args: picture: uint8 (H, W, 4) RGBA; alpha is not touched.
        """
        wishes = self._settings.wishes
        seen = self._last
        if seen is None or not seen.fits(picture, self._settings.strength):
            self._last = None  # should this fail, the next frame begins afresh
            seen = self._last = self._bench.work(lambda: self._work(picture))
        half = picture.shape[1] // 2 if wishes & Wish.COMPARE else 0
        for change in seen.changes:
            skip = max(0, half - change.x)
            change.part(picture)[:, skip:] = change.after[:, skip:]
        if wishes & Wish.DEBUG and seen.faces:
            _draw(picture, seen.faces)
        if half:
            picture[:, max(0, half - 1) : half + 1, :3] = _WHITE
        drawn = bool(half) or bool(wishes & Wish.DEBUG and seen.faces)
        enhanced = sum(face.enhanced is not None for face in seen.faces)
        return Done(
            drawn or bool(seen.changes), len(seen.faces), enhanced, "; ".join(self._finder.notices)
        )

    def close(self) -> None:
        """Forget everything."""
        self._last = None
        self._pipeline.close()
        self._workshop.leave(self._bench)

    def _built(self, config: EnhancerConfig) -> pipeline.Pipeline:
        """The pipeline; the networks are held, for others to find them."""
        self._networks = self._bench.networks(config.networks.model)
        built = pipeline.build(config, live=True, tracker=self._finder, networks=self._networks)
        built.observer = self._observe
        return built

    def _looker(self, settings: Settings) -> Callable[[], Stage[Frame, TrackedFrame]]:
        """Makes what finds the faces.

        Raises: TracksError, ServerError.
        """
        if settings.tracks:
            path = Path(settings.tracks)
            known = self._workshop.known(path)
            return lambda: Recall(known, path, settings.min_face)
        eyes = self._bench.work(lambda: self._bench.eyes)
        return lambda: Tracker(lookahead=0, min_face=settings.min_face, face_models=eyes)

    def _work(self, picture: Picture) -> _Seen:
        """Through the pipeline; the picture stays as it is."""
        if not self._settings.wishes & Wish.ORDERED:
            self._pipeline.reset()
        self._finder.strength = self._settings.strength
        self._faces = ()
        frame = Frame(self._bench.split(picture), _RGB, self._count, Fraction(1, 30))
        self._count += 1
        (done,) = self._pipeline.push(frame)
        changes = tuple(_changed(picture, done, *patch.box) for patch in done.changed)
        return _Seen(picture[::_EVERY].copy(), self._settings.strength, changes, self._faces)

    def _observe(self, item: TrackedFrame, _: Frame) -> None:
        self._faces = item.faces


def _changed(picture: Picture, done: Frame, x0: int, y0: int, x1: int, y1: int) -> _Change:
    after = np.stack([plane[y0:y1, x0:x1] for plane in done.components], -1)
    return _Change(x0, y0, picture[y0:y1, x0:x1, :3].copy(), after.astype(np.uint8, copy=False))


def _draw(picture: Picture, faces: tuple[Face, ...]) -> None:
    """Boxes, numbers and landmarks; grey for faces that are left alone."""
    shown = np.ascontiguousarray(picture[..., :3])
    thick = max(1, round(min(picture.shape[:2]) / 360))
    for face in faces:
        points = np.vstack([np.reshape(face.box, (2, 2)), face.landmarks])
        if not np.isfinite(points).all() or np.abs(points).max() > 1e5:
            continue
        (x0, y0), (x1, y1), *marks = np.rint(points).astype(int).tolist()
        colour = _GREY if face.enhanced is None else _GREEN
        cv2.rectangle(shown, (x0, y0), (x1, y1), colour, thick)
        for x, y in marks:
            cv2.circle(shown, (x, y), 2 * thick, colour, -1)
        words = f"{face.track} {face.confidence:.2f}"
        below = max(14 * thick, y0 - 4 * thick)
        cv2.putText(shown, words, (x0, below), 0, 0.5 * thick, colour, thick, cv2.LINE_AA)
    picture[..., :3] = shown
