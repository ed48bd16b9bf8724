"""The preview: pictures of frames before and after, made in a thread of their own.

Pictures are made only while somebody watches, and only as often as their share of the processor
allows.
"""

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.imaging.colour import rgb_from_codes
from crsr_video.live.preview.web import HOST, Board, WebServer
from crsr_video.types import Frame

MAX_WIDTH = 960
"""Width in pixels to which larger pictures are reduced."""
MAX_RATE = 15
"""Pictures per second."""
CPU_SHARE = 0.15
"""Share of one processor core that pictures may take."""
_JPEG_QUALITY = 82
_SAMPLING_FACTOR = 2
"""Pictures this many times as large as needed are subsampled before they are averaged."""

Picture = NDArray[np.uint8]


class Preview(Closing):
    """A page that this machine can open, served until this context manager is left.

    Args:
        port: Port on the loopback interface, or 0 for any free one.

    Raises:
        OutputError: The port is taken or may not be used.
    """

    url: str
    """Address of the page."""

    def __init__(self, port: int = 0) -> None:
        self._board = Board()
        self._server = WebServer(port, self._board)
        self.url = f"http://{HOST}:{self._server.port}/"
        self._pair: tuple[Frame, Frame] | None = None
        self._next_time = 0.0
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._make_pictures, name="preview", daemon=True)
        self._thread.start()

    @property
    def is_watched(self) -> bool:
        """Whether a page waits for a picture at this moment."""
        return self._board.is_watched

    def show(self, before: Frame, after: Frame) -> None:
        """Show a finished frame if a page waits and it is time for a picture. Never blocks."""
        is_early = time.monotonic() < self._next_time
        if self._pair is not None or not self._board.is_watched or is_early:
            return
        with self._changed:
            self._pair = before, after
            self._changed.notify()

    def show_statistics(self, statistics: Mapping[str, Any]) -> None:
        """Show statistics: plain values, as `LiveStatistics.as_json` returns them."""
        self._board.post_statistics(json.dumps(statistics, allow_nan=False, default=str).encode())

    def close(self) -> None:
        """Show that the stream has ended, and stop serving. May be called twice."""
        self._board.end()
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()
        self._server.close()

    def _make_pictures(self) -> None:
        while (pair := self._next_pair()) is not None:
            began, spent = time.monotonic(), time.thread_time()
            made = encode_pair(*pair)
            spent = time.thread_time() - spent
            if made is not None:
                self._board.post_picture(*made)
            self._next_time = began + max(1 / MAX_RATE, spent / CPU_SHARE)
            self._pair = pair = None

    def _next_pair(self) -> tuple[Frame, Frame] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._pair is not None)
            return None if self._is_closed else self._pair


def encode_pair(before: Frame, after: Frame) -> tuple[bytes, bytes] | None:
    """Return both frames as JPEG, upright and at the same size, or None if that is impossible."""
    try:
        width, height = _shown_size(before)
        return _encode(before, width, height), _encode(after, width, height)
    except (cv2.error, ValueError, ArithmeticError):
        return None  # A strange picture must not end the run.


def _encode(frame: Frame, width: int, height: int) -> bytes:
    picture = np.rot90(_reduced(frame, width, height), frame.rotation // 90)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()


def _shown_size(frame: Frame) -> tuple[int, int]:
    """Return width and height with square pixels, before the rotation."""
    aspect = float(frame.sample_aspect)
    width, height = frame.width * max(aspect, 1.0), frame.height / min(aspect, 1.0)
    upright_width = height if frame.rotation % 180 else width
    scale = min(1.0, MAX_WIDTH / upright_width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _reduced(frame: Frame, width: int, height: int) -> Picture:
    """Return a frame as 8-bit BGR, quickly rather than exactly."""
    planes = [_reduced_plane(p, width, height, frame.layout.bits) for p in frame.components]
    matrix, offset = rgb_from_codes(frame.layout)
    depth = np.float32(2.0 ** (frame.layout.bits - 8))
    to_bgr = (255 * depth * matrix)[::-1]
    shift = -to_bgr @ (offset / depth)
    codes = planes[0] if len(planes) == 1 else cv2.merge(planes)
    picture: Picture = cv2.transform(codes, np.hstack([to_bgr, shift[:, None]]))
    return picture


def _reduced_plane(
    plane: NDArray[np.uint8] | NDArray[np.uint16], width: int, height: int, bits: int
) -> Picture:
    step = min(
        plane.shape[1] // (_SAMPLING_FACTOR * width), plane.shape[0] // (_SAMPLING_FACTOR * height)
    )
    small: Picture = cv2.resize(
        plane[:: max(step, 1), :: max(step, 1)], (width, height), interpolation=cv2.INTER_AREA
    )
    if bits > 8:
        small = cv2.convertScaleAbs(small, alpha=2.0 ** (8 - bits))
    return small
