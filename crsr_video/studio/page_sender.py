"""Sends finished frames to a page, no more than it can show."""

import time
from collections import deque
from typing import Any

from crsr_video.io.feed import Feed
from crsr_video.io.pyav import Passthrough
from crsr_video.stages.quality import LiveQuality
from crsr_video.studio.pictures import face_facts, packet_of
from crsr_video.studio.sockets import Send
from crsr_video.types import Frame, TrackedFrame

_MAX_UNSHOWN = 3
"""Packets on their way to a page beyond which there is no room for another one."""
_RATE_WINDOW = 30
"""Frames over which the frame rate is averaged."""


class PageSender:
    """The end of a live run: sends its frames to one page, before and after.

    Args:
        send: Sends a message to the page.
        width: Largest width of the pictures in pixels.
        quality: Quality of the run, which the page shows.
        start: Seconds of the source at which the run begins.
        person_of: Number of the person by track ID.
        number: Number of the last packet that the page was sent before.
    """

    state = "sending"

    def __init__(
        self,
        send: Send,
        *,
        width: int,
        quality: LiveQuality,
        start: float = 0.0,
        person_of: dict[int, int] | None = None,
        number: int = 0,
    ) -> None:
        self.width = width
        self._send, self._quality, self._start = send, quality, start
        self._person_of = person_of or {}
        self.number = self._shown = number
        self._seen: dict[int, TrackedFrame] = {}
        self._times: deque[float] = deque(maxlen=_RATE_WINDOW)

    @property
    def has_room(self) -> bool:
        """Whether the page shows frames as fast as they are sent."""
        return self.number - self._shown < _MAX_UNSHOWN

    def acknowledge(self, number: int) -> None:
        """Take note that the page has shown a packet."""
        self._shown = max(self._shown, number)

    def observe(self, item: TrackedFrame, _: Frame) -> None:
        """Take a frame with its faces, before `push` is called with the finished frame."""
        self._seen[item.frame.pts] = item

    def push(self, frame: Frame) -> None:
        """Send a finished frame, unless there is no room any more."""
        item = self._seen.pop(frame.pts, None) or TrackedFrame(frame)
        if not self.has_room:
            return
        before = item.frame.interlaced_frame or item.frame
        self.number += 1
        self._times.append(time.monotonic())
        header: dict[str, Any] = {
            "at": self._start + before.seconds,
            "number": self.number,
            "width": upright_width(before),
            "fps": self._rate(),
            "quality": self._quality.level.name,
            "reduced": self._quality.index > 0,
            "faces": [face_facts(face, before, self._person_of) for face in item.faces],
        }
        self._send(packet_of(header, before, frame, self.width))

    def push_packet(self, item: Passthrough) -> None:
        """Ignore packets of other streams: a page plays no sound."""

    def change(self, feed: Feed) -> None:
        """Do nothing: every packet has the size of its pictures."""

    def close(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing: sending never waits."""

    def _rate(self) -> float:
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(1e-6, self._times[-1] - self._times[0])


def upright_width(frame: Frame) -> int:
    """Return the width of an upright frame with square pixels."""
    if frame.rotation % 180:
        return round(frame.height / min(float(frame.sample_aspect), 1.0))
    return round(frame.width * max(float(frame.sample_aspect), 1.0))
