"""The track stage of an effect that was given a tracks file: frames are known by what they show.

So the same picture has the same faces, wherever and in whatever order an editor shows it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.track.replay import Replay
from crsr_video.track.tracks_file import Recording, VideoFacts, pictures
from crsr_video.types import Face, Frame, TrackedFrame

_ALIKE = 0.15
"""RMS difference of two tiny pictures, each of mean 0 and deviation 1, up to which one is known."""
_FLAT = 1.0
"""Level of 255, the least that a deviation is taken to be, or black would be like any noise."""
_SAME_SHAPE = 0.01
"""Relative difference of two aspect ratios that are the same but for rounding."""
_COARSE = 4
"""Cells of a tiny picture, to a side, that are averaged to one for a first comparison."""
_CANDIDATES = 256


class Known:
    """A tracks file that frames can be looked up in.

    Raises: TracksError: it holds no pictures of the frames, or damaged ones.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        whole = pictures.unpack(recording.pictures, len(recording.times))
        self._fine = _normal(whole)
        self._coarse = _coarse(self._fine)

    def find(self, tiny: pictures.Tiny) -> int | None:
        """The time of the frame most like it, the first of equals; None: none is like it."""
        if not len(self._fine):
            return None
        wanted = _normal(tiny.reshape(1, -1))
        among = np.arange(len(self._fine))
        if len(among) > _CANDIDATES:
            away = np.square(self._coarse - _coarse(wanted)).sum(1)
            among = np.sort(np.argpartition(away, _CANDIDATES)[:_CANDIDATES])
        away = np.square(self._fine[among] - wanted).mean(1)
        best = int(np.argmin(away))
        if away[best] > _ALIKE**2:
            return None
        return int(self.recording.times[among[best]])


def _normal(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row less its mean, over its deviation: the same after a change of contrast."""
    centred = rows - rows.mean(1, keepdims=True)
    deviation = np.maximum(np.sqrt(np.square(centred).mean(1, keepdims=True)), _FLAT)
    normal: NDArray[np.float32] = centred / deviation
    return normal


def _coarse(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    down, across = pictures.ROWS // _COARSE, pictures.COLUMNS // _COARSE
    cells = rows.reshape(-1, down, _COARSE, across, _COARSE)
    means: NDArray[np.float32] = cells.mean((2, 4)).reshape(len(rows), -1)
    return means


@dataclass(frozen=True, slots=True)
class Fit:
    """How a host shows a video: upright, in a rectangle of its frames."""

    x: int
    y: int
    width: int
    height: int
    video: VideoFacts

    @classmethod
    def of(cls, video: VideoFacts, width: int, height: int) -> "Fit":
        """In frames of that size: as a whole, or centred between bars of equal breadth."""
        turned = video.rotation // 90 % 2 == 1
        coded = (video.height, video.width) if turned else (video.width, video.height)
        aspect = 1 / video.sample_aspect if turned else video.sample_aspect
        wanted = coded[0] / coded[1] * float(aspect)
        shape = width / height
        if coded == (width, height) or abs(shape / wanted - 1) < _SAME_SHAPE:
            return cls(0, 0, width, height, video)
        across = width if shape < wanted else max(1, round(height * wanted))
        down = height if shape > wanted else max(1, round(width / wanted))
        return cls((width - across) // 2, (height - down) // 2, across, down, video)

    @property
    def scale(self) -> float:
        """Pixels of the frames to one of the video, along columns of the upright picture."""
        turned = self.video.rotation // 90 % 2 == 1
        return self.height / (self.video.width if turned else self.video.height)

    def inside(self, frame: Frame) -> Frame:
        """The video's part of a frame."""
        rows, columns = slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)
        return replace(frame, components=tuple(p[rows, columns] for p in frame.components))

    def points(self, coded: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) places in the frames, from places in the video as coded."""
        # From edge to edge, 0 to 1, which turning and scaling leave as they are.
        part = (coded + 0.5) / (self.video.width, self.video.height)
        for _ in range(self.video.rotation // 90 % 4):
            part = np.stack([part[:, 1], 1 - part[:, 0]], 1)  # the right edge comes to the top
        shown: NDArray[np.float64] = part * (self.width, self.height) + (self.x, self.y) - 0.5
        return shown

    def face(self, face: Face) -> Face:
        """A face of the video, in the frames."""
        x0, y0, x1, y1 = face.box
        corners = self.points(np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
        (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
        return replace(face, landmarks=self.points(face.landmarks), box=(left, top, right, bottom))


class Recall:
    """The stage; no lookahead, and no memory besides whether a scene has begun.

    Args: known: the tracks file. name: its path, for messages.
          min_face: width in pixels of the host's frames below which a face is left alone.
    """

    lookahead = 0

    def __init__(self, known: Known, name: Path, min_face: float) -> None:
        self._known, self._name, self._min_face = known, name, min_face
        self._fit: Fit | None = None
        self._replay: Replay | None = None
        self._shape = 0, 0
        self.unknown = False
        """The frame that was pushed last is not in the file."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the last frame."""
        told = f"{self._name}: does not know the picture, which was left alone"
        return (told,) if self.unknown else ()

    def push(self, item: Frame) -> list[TrackedFrame]:
        """The frame with the faces that the file has for it."""
        fit, replay = self._fitted(item)
        found = self._known.find(pictures.tiny(fit.inside(item)))
        self.unknown = found is None
        if found is None:
            return [TrackedFrame(item)]
        (there,) = replay.push(replace(item, pts=found))
        return [TrackedFrame(item, tuple(fit.face(face) for face in there.faces), there.cut)]

    def flush(self) -> list[TrackedFrame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """The next frame begins a scene."""
        if self._replay is not None:
            self._replay.reset()

    def _fitted(self, frame: Frame) -> tuple[Fit, Replay]:
        """For frames of this size, which seldom changes."""
        shape = frame.width, frame.height
        if self._fit is None or self._replay is None or self._shape != shape:
            self._shape = shape
            self._fit = Fit.of(self._known.recording.video, *shape)
            least = self._min_face / self._fit.scale
            self._replay = Replay(self._known.recording, self._name, min_face=least)
        return self._fit, self._replay
