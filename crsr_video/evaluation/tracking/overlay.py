"""Videos of what was true and what was found, to be looked at."""

from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import OutputError
from crsr_video.evaluation.tracking.layers import Truth
from crsr_video.evaluation.tracking.matching import is_due, is_hidden, is_shown
from crsr_video.evaluation.tracking.measures import Score
from crsr_video.evaluation.tracking.render import RATE, Shown
from crsr_video.io.frames import as_rgb
from crsr_video.types import Face, TrackedFrame

Bytes = NDArray[np.uint8]

_GREEN, _DIM, _BLUE = (0, 220, 0), (0, 120, 0), (60, 120, 255)
_RED, _PALE = (255, 40, 40), (200, 150, 60)
_FINE = 8
"""Bits of a fraction that OpenCV draws with: positions are exact to 1/256 pixel."""


class OverlayVideo:
    """One video; a context manager.

    Green: true and due; dark green: true, partly to be seen; blue: covered. Red: shown, with its
    id; brown: tracked, but skipped.
    """

    def __init__(self, path: Path) -> None:
        """Prepare; the file takes its name when it is complete."""
        self._path = path
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def __call__(self, shown: Shown, item: TrackedFrame, score: Score) -> None:
        """Add one frame.

        Raises: OutputError: the file cannot be written.
        """
        picture = draw(shown, item, score)
        if self._writer is None:
            self._writer = self._opened(picture.shape[1], picture.shape[0])
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def _opened(self, width: int, height: int) -> cv2.VideoWriter:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self._part), code, RATE, (width, height))
        if not writer.isOpened():
            raise OutputError(f"cannot write {self._path}")
        return writer


def draw(shown: Shown, item: TrackedFrame, score: Score) -> Bytes:
    """A frame with boxes and landmarks: uint8 (H, W, 3) RGB."""
    picture = np.ascontiguousarray(as_rgb(shown.frame)).copy()
    for truth in shown.faces:
        _draw(picture, truth.box, truth.points, _colour(truth), f"{truth.id}", below=True)
    for face in item.faces:
        used = is_shown(face)
        _draw(picture, face.box, face.landmarks, _RED if used else _PALE, _words(face))
    wrong = [f for f in score.failures if f.frame == shown.index]
    text = " ".join(
        [f"{shown.index}", "cut" if item.cut else "", *(f"{f.what}:{f.id}" for f in wrong[:9])]
    )
    _write(picture, text, (8, 24), (255, 255, 0))
    return picture


def _colour(truth: Truth) -> tuple[int, int, int]:
    if is_hidden(truth):
        return _BLUE
    return _GREEN if is_due(truth) else _DIM


def _words(face: Face) -> str:
    return f"{face.track} {face.confidence:.2f}" + (
        f" p{face.presence:.1f}" if face.presence < 1 else ""
    )


def _draw(
    picture: Bytes,
    box: tuple[float, float, float, float],
    points: NDArray[np.float64],
    colour: tuple[int, int, int],
    text: str,
    *,
    below: bool = False,
) -> None:
    corners = np.rint(np.array(box) * 2**_FINE).astype(int)
    cv2.rectangle(picture, corners[:2], corners[2:], colour, 1, cv2.LINE_AA, _FINE)
    radius = max(1.0, 0.015 * (box[2] - box[0]))
    for point in np.rint(points * 2**_FINE).astype(int):
        cv2.circle(picture, point, round(radius * 2**_FINE), colour, -1, cv2.LINE_AA, _FINE)
    _write(
        picture, text, (round(box[0]), round(box[3]) + 14 if below else round(box[1]) - 4), colour
    )


def _write(picture: Bytes, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    for thick, ink in ((3, (0, 0, 0)), (1, colour)):
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, thick, cv2.LINE_AA)
