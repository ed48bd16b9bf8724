"""Sends finished frames to a page, but no more than the page can show."""

import time
from collections import deque
from typing import Any

from crsr_video.io.pyav import Passthrough
from crsr_video.io.source import Source
from crsr_video.stages.quality import LiveQuality
from crsr_video.studio.pictures import face_facts, packet_of
from crsr_video.studio.sockets import Send
from crsr_video.types import Frame, TrackedFrame

_MAX_UNSHOWN = 3
"""Maximum number of packets that a page has been sent and has not shown yet."""
_RATE_WINDOW = 30
"""Frames over which the frame rate is averaged."""


class PageSender:
    """Output of a live run that sends each frame to one page, before and after enhancement.

    Args:
        send: Sends a message to the page.
        width: Largest width of the pictures in pixels.
        quality: Quality of the run, which the page shows.
        start: Seconds of the source at which the run begins.
        person_of: Number of the person by track ID.
        number: Number of the last packet that the page received from an earlier run.
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
        """Whether the page can take another packet."""
        return self.number - self._shown < _MAX_UNSHOWN

    def acknowledge(self, number: int) -> None:
        """Record that the page has shown a packet."""
        self._shown = max(self._shown, number)

    def observe(self, item: TrackedFrame, _: Frame) -> None:
        """Store a frame with its faces, until `push` is called with the finished frame."""
        self._seen[item.frame.pts] = item

    def push(self, frame: Frame) -> None:
        """Send a finished frame, or drop it if the page cannot take another packet."""
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
        """Ignore packets of other streams, because the page plays no sound."""

    def change(self, source: Source) -> None:
        """Do nothing, because every packet contains the size of its pictures."""

    def close(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing, because sending never blocks."""

    def _rate(self) -> float:
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(1e-6, self._times[-1] - self._times[0])


def upright_width(frame: Frame) -> int:
    """Return the width of an upright frame with square pixels."""
    if frame.rotation % 180:
        return round(frame.height / min(float(frame.sample_aspect), 1.0))
    return round(frame.width * max(float(frame.sample_aspect), 1.0))
