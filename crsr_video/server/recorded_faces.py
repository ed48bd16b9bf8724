"""Look up the faces of a frame in a tracks file by the content of the frame.

An editor requests the frames of a video in any order, and without their timestamps. Because a frame
is looked up by its content, it gets the same faces wherever it appears in the editor's timeline.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.stages.base import Stage
from crsr_video.track.replay import Replay
from crsr_video.track.tracks_file import Recording, VideoFacts, signatures
from crsr_video.types import Face, Frame, TrackedFrame

_MAX_DIFFERENCE = 0.15
"""Largest RMS difference between two normalised thumbnails that count as the same frame."""
_MIN_DEVIATION = 1.0
"""Smallest standard deviation, in 8-bit levels, by which a thumbnail is divided. Otherwise, the
noise of a black frame would be amplified, and could match any other noise."""
_ASPECT_TOLERANCE = 0.01
"""Largest relative difference between two aspect ratios that counts as a rounding error."""
_BLOCK = 4
"""Side, in thumbnail pixels, of the blocks that are averaged for the first comparison."""
_CANDIDATES = 256
"""Number of frames that are compared in full after the first comparison."""


class TracksIndex:
    """A tracks file in which frames can be looked up by their content.

    Args:
        recording: The tracks file.

    Raises:
        TracksError: The thumbnails of the frames are missing from the file, or damaged.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        thumbnails = signatures.unpack(recording.signatures, len(recording.times))
        self._fine = _normalised(thumbnails)
        self._coarse = _block_means(self._fine)

    def find(self, thumbnail: signatures.Signature) -> int | None:
        """Return the timestamp of the most similar frame, or None if no frame is similar.

        If several frames are equally similar, the first one is returned.
        """
        if not len(self._fine):
            return None
        wanted = _normalised(thumbnail.reshape(1, -1))
        candidates = np.arange(len(self._fine))
        if len(candidates) > _CANDIDATES:
            distances = np.square(self._coarse - _block_means(wanted)).sum(1)
            candidates = np.sort(np.argpartition(distances, _CANDIDATES)[:_CANDIDATES])
        distances = np.square(self._fine[candidates] - wanted).mean(1)
        best = int(np.argmin(distances))
        if distances[best] > _MAX_DIFFERENCE**2:
            return None
        return int(self.recording.times[candidates[best]])


def _normalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows with mean 0 and deviation 1, so that brightness and contrast do not matter."""
    centred = rows - rows.mean(1, keepdims=True)
    deviation = np.maximum(np.sqrt(np.square(centred).mean(1, keepdims=True)), _MIN_DEVIATION)
    normalised: NDArray[np.float32] = centred / deviation
    return normalised


def _block_means(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    down, across = signatures.ROWS // _BLOCK, signatures.COLUMNS // _BLOCK
    blocks = rows.reshape(-1, down, _BLOCK, across, _BLOCK)
    means: NDArray[np.float32] = blocks.mean((2, 4)).reshape(len(rows), -1)
    return means


@dataclass(frozen=True, slots=True)
class PictureArea:
    """Rectangle of the host application's frames in which an upright video is shown.

    Attributes:
        x: Left edge in pixels.
        y: Upper edge in pixels.
        width: Width in pixels.
        height: Height in pixels.
        video: Properties of the video.
    """

    x: int
    y: int
    width: int
    height: int
    video: VideoFacts

    @classmethod
    def fit(cls, video: VideoFacts, width: int, height: int) -> "PictureArea":
        """Return the area of a video in frames of a size: the whole frame, or part between bars."""
        is_turned = video.rotation // 90 % 2 == 1
        coded = (video.height, video.width) if is_turned else (video.width, video.height)
        pixel_aspect = 1 / video.sample_aspect if is_turned else video.sample_aspect
        wanted = coded[0] / coded[1] * float(pixel_aspect)
        shape = width / height
        if coded == (width, height) or abs(shape / wanted - 1) < _ASPECT_TOLERANCE:
            return cls(0, 0, width, height, video)
        across = width if shape < wanted else max(1, round(height * wanted))
        down = height if shape > wanted else max(1, round(width / wanted))
        return cls((width - across) // 2, (height - down) // 2, across, down, video)

    @property
    def scale(self) -> float:
        """Frame pixels per video pixel in the vertical direction of the upright picture."""
        is_turned = self.video.rotation // 90 % 2 == 1
        return self.height / (self.video.width if is_turned else self.video.height)

    def cut(self, frame: Frame) -> Frame:
        """Return the part of a frame that shows the video."""
        rows, columns = slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)
        return replace(frame, components=tuple(p[rows, columns] for p in frame.components))

    def map_points(self, coded: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (N, 2) points of the coded video to points of the frames."""
        # Turning is done in fractions of the picture's width and height, so any size works.
        part = (coded + 0.5) / (self.video.width, self.video.height)
        for _ in range(self.video.rotation // 90 % 4):
            part = np.stack([part[:, 1], 1 - part[:, 0]], 1)  # The right edge becomes the top.
        shown: NDArray[np.float64] = part * (self.width, self.height) + (self.x, self.y) - 0.5
        return shown

    def map_face(self, face: Face) -> Face:
        """Map a face of the coded video to the frames."""
        x0, y0, x1, y1 = face.box
        corners = self.map_points(np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
        (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
        landmarks = self.map_points(face.landmarks)
        return replace(face, landmarks=landmarks, box=(left, top, right, bottom))


class RecordedFaces(Stage[Frame, TrackedFrame]):
    """The tracking stage of a client that uses a tracks file. It has no lookahead.

    Args:
        index: The tracks file.
        path: Path of the tracks file, for messages.
        min_face: Faces narrower than this, in pixels of the host's frames, are not enhanced.
    """

    def __init__(self, index: TracksIndex, path: Path, min_face: float) -> None:
        self._index, self._path, self._min_face = index, path, min_face
        self._area: PictureArea | None = None
        self._replay: Replay | None = None
        self._size = 0, 0
        self._is_unknown = False

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices for the user about the latest frame."""
        if not self._is_unknown:
            return ()
        return (f"{self._path}: does not contain this frame, which is left unchanged",)

    def push(self, item: Frame) -> list[TrackedFrame]:
        """Return the frame with its faces."""
        area, replay = self._prepared(item)
        found = self._index.find(signatures.signature_of(area.cut(item)))
        self._is_unknown = found is None
        if found is None:
            return [TrackedFrame(item)]
        (recorded,) = replay.push(replace(item, pts=found))
        faces = tuple(area.map_face(face) for face in recorded.faces)
        return [TrackedFrame(item, faces, recorded.cut)]

    def reset(self) -> None:
        """Treat the next frame as the beginning of a scene."""
        if self._replay is not None:
            self._replay.reset()

    def _prepared(self, frame: Frame) -> tuple[PictureArea, Replay]:
        """Return the area and the replay for frames of this size, and keep them for later."""
        size = frame.width, frame.height
        if self._area is None or self._replay is None or self._size != size:
            self._size = size
            self._area = PictureArea.fit(self._index.recording.video, *size)
            min_face = self._min_face / self._area.scale
            self._replay = Replay(self._index.recording, self._path, min_face=min_face)
        return self._area, self._replay
