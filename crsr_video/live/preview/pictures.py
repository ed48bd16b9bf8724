"""Pictures for the page: before and after of one frame, which travel together.

They are made in a thread of their own, and only as often as leaves the run its processor.
"""

import threading
import time

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.imaging.colour import rgb_from_codes
from crsr_video.live.preview.board import Board
from crsr_video.types import Frame

WIDEST = 960
"""Pixels; larger pictures are shrunk."""
MOST_A_SECOND = 15
SHARE = 0.15
"""Of one processor core that pictures may cost."""
_QUALITY = 82
"""Of JPEG, 0 to 100."""
_SPARSE = 2
"""A picture this many times as large as needed is thinned out before it is averaged."""

Picture = NDArray[np.uint8]


class Pictures(Closing):
    """Makes a picture of a frame now and then, and hangs it on a board."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._pair: tuple[Frame, Frame] | None = None
        self._due = 0.0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="preview", daemon=True)
        self._thread.start()

    def offer(self, before: Frame, after: Frame) -> None:
        """Take a frame if it is time for one and somebody waits; else forget it at once."""
        if self._pair is not None or not self._board.watched or time.monotonic() < self._due:
            return
        with self._changed:
            self._pair = before, after
            self._changed.notify()

    def close(self) -> None:
        """End the thread; may be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (pair := self._next()) is not None:
            began, spent = time.monotonic(), time.thread_time()
            made = _jpegs(*pair)
            spent = time.thread_time() - spent
            if made is not None:
                self._board.hang(*made)
            self._due = began + max(1 / MOST_A_SECOND, spent / SHARE)
            self._pair = pair = None

    def _next(self) -> tuple[Frame, Frame] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._pair is not None)
            return None if self._closed else self._pair


def _jpegs(before: Frame, after: Frame) -> tuple[bytes, bytes] | None:
    """Both frames at the same size, upright; None: they cannot be shown."""
    try:
        width, height = _shown_size(before)
        return _jpeg(before, width, height), _jpeg(after, width, height)
    except (cv2.error, ValueError, ArithmeticError):
        return None  # A picture that makes no sense must not end the run.


def _jpeg(frame: Frame, width: int, height: int) -> bytes:
    picture = np.rot90(_shrunk(frame, width, height), frame.rotation // 90)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def _shown_size(frame: Frame) -> tuple[int, int]:
    """Width and height with square pixels, not turned yet: upright at most `WIDEST` wide."""
    aspect = float(frame.sample_aspect)
    width, height = frame.width * max(aspect, 1.0), frame.height / min(aspect, 1.0)
    upright = height if frame.rotation % 180 else width
    scale = min(1.0, WIDEST / upright)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrunk(frame: Frame, width: int, height: int) -> Picture:
    """A frame as BGR, in eight bits: fast rather than exact."""
    planes = [_plane(plane, width, height, frame.layout.bits) for plane in frame.components]
    matrix, offset = rgb_from_codes(frame.layout)
    narrow = np.float32(2.0 ** (frame.layout.bits - 8))
    turn = (255 * narrow * matrix)[::-1]  # Blue first.
    shift = -turn @ (offset / narrow)
    codes = planes[0] if len(planes) == 1 else cv2.merge(planes)
    picture: Picture = cv2.transform(codes, np.hstack([turn, shift[:, None]]))
    return picture


def _plane(
    plane: NDArray[np.uint8] | NDArray[np.uint16], width: int, height: int, bits: int
) -> Picture:
    step = min(plane.shape[1] // (_SPARSE * width), plane.shape[0] // (_SPARSE * height))
    small: Picture = cv2.resize(
        plane[:: max(step, 1), :: max(step, 1)], (width, height), interpolation=cv2.INTER_AREA
    )
    if bits > 8:
        small = cv2.convertScaleAbs(small, alpha=2.0 ** (8 - bits))
    return small
