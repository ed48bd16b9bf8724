"""What sinks that encode have in common."""

import threading
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

from av.video.frame import VideoFrame

from crsr_video.io.feed import Feed
from crsr_video.io.outgoing.address import PLAIN, Target
from crsr_video.io.outgoing.fitting import Fitter
from crsr_video.io.outgoing.muxing import Muxing
from crsr_video.io.outgoing.plain import PlainWriting
from crsr_video.io.outgoing.planning import SinkPlan
from crsr_video.io.outgoing.sink import Sink
from crsr_video.io.outgoing.tracks import Tracks
from crsr_video.io.outgoing.wire import Wire
from crsr_video.io.outgoing.writing import Writing
from crsr_video.io.pictures import own_picture
from crsr_video.types import Frame

Tell = Callable[[str], None]
_ENDING_SECONDS = 0.3
"""How long `close` waits for a push in another thread before it breaks it off."""


class EncodingSink(Sink):
    """What sinks have in common that encode: frames are fitted and handed to a `Writing`."""

    def __init__(self, target: Target, plan: SinkPlan, feed: Feed, on_event: Tell) -> None:
        self._target, self._plan, self._feed, self._tell = target, plan, feed, on_event
        self._fitter = Fitter(plan.shape)
        self._tracks = Tracks(feed, plan.container)
        self._guard = threading.Lock()
        self._act, self._done = "idle", False
        self._sample = self._picture(feed.first)
        self.notices = (*plan.notices, *self._tracks.notices)

    @property
    def state(self) -> str:
        """What it does just now."""
        return self._act

    def _set_act(self, act: str) -> None:
        self._act = act

    def _picture(self, frame: Frame) -> VideoFrame:
        picture = own_picture(frame, self._feed.first if self._feed.first.native else None)
        if picture.time_base is None:
            picture.pts, picture.time_base = frame.pts, frame.time_base
        return self._fitter.fit(picture, frame.sample_aspect)

    def _start(self, to: Wire | Path) -> Writing:
        """Begin a stream."""
        if self._plan.container in PLAIN:
            assert isinstance(to, Wire)
            return PlainWriting(to, self._plan, self._set_act, self._count)
        return Muxing(to, self._plan, self._sample, self._feed.first, self._tracks, self._set_act)

    def _count(self) -> None:
        self.dropped += 1

    def change(self, feed: Feed) -> None:
        """Scale from now on, if need be; copy the sound if it is the same."""
        with self._guard:
            old, new = self._feed.first, feed.first
            if (old.width, old.height, old.layout) != (new.width, new.height, new.layout):
                self._tell(self._fitted(new))
            for line in self._tracks.change(feed):
                self._tell(line)
            self._feed = feed

    def _fitted(self, new: Frame) -> str:
        shape = self._plan.shape
        now = f"{new.width}x{new.height} {new.layout.name}"
        if (new.width, new.height, new.layout.name) == (*shape.size, shape.pixel_format):
            return f"the source's pictures are {now} again"
        was = f"{shape.width}x{shape.height} {shape.pixel_format}"
        return f"the source's pictures are {now} now: they are fitted into {was}"

    @abstractmethod
    def _cut(self) -> None:
        """Let a write that waits come to an end, and fail."""

    def _acquire_end(self) -> bool:
        """Take the guard to end, breaking off who holds it for long; whether nobody did."""
        in_time = self._guard.acquire(timeout=_ENDING_SECONDS)
        if not in_time:
            self._cut()
            self._guard.acquire()
        return in_time
