"""Four threads between a source and a sink: read, track, restore, write.

Each hands its work to the next over a queue of one, and no more than `_IN_FLIGHT` frames are
between mailbox and sink at any time: what does not fit waits in the mailbox, and is dropped there
when newer frames come. So the delay is bounded by how long a few frames take, never by how long
the run lasts.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from crsr_video.closing import Closing
from crsr_video.errors import ReaderGoneError
from crsr_video.io.feed import Arrival, Feed
from crsr_video.io.pyav import Passthrough
from crsr_video.io.writer import LiveWriter
from crsr_video.live.companions import Companions
from crsr_video.live.governor import Governor, Sample
from crsr_video.live.latency import LatencyMeter
from crsr_video.live.mailbox import Mailbox
from crsr_video.live.watchdog import Watchdog
from crsr_video.runner import ThreadChain
from crsr_video.stages.quality import LiveQuality
from crsr_video.types import Frame, TrackedFrame

if TYPE_CHECKING:
    from crsr_video.pipeline import Pipeline

_IN_FLIGHT = 3
"""Frames: one is tracked, one restored, one written."""
_IN_TIME = 0.7
"""Share of the latency allowed within which a frame should leave: one that would be later goes
without the networks, so that those behind it are in time again."""
_MOST_HURRIED = 2
"""Frames in a row that may go without networks for that."""
_POLL = 0.1
_CLOSING = 2.0
"""Seconds that the last frames and the sink's end may take."""


class Source(Protocol):
    """What the engine needs of `LiveReader`."""

    @property
    def state(self) -> str:
        """What it is doing, in words."""
        ...

    def __iter__(self) -> Iterator[Arrival]:
        """Whatever comes, until the end."""
        ...

    def interrupt(self) -> None:
        """End the iteration soon; may be called from any thread."""
        ...


@dataclass(frozen=True, slots=True)
class _Moving:
    """A frame on its way, and what it cost so far."""

    item: TrackedFrame | Frame
    arrived: float
    track: float = 0.0
    restore: float = 0.0
    fresh: bool = True


_Item = _Moving | Passthrough | Feed


class Engine(Closing):
    """Runs until the source ends, the sink's reader goes away, or `stop`.

    Args: source, sink: opened; the sink is closed by the engine, the source is not.
          effort: how much is to be done for a frame.
          most: latency in seconds that p95 is to stay below.
          governor: sets `effort`; None: quality stays as it is.
          watchdog: is shown what every thread does.
          waits: the source waits for us, and nothing is dropped.
    """

    def __init__(
        self,
        source: Source,
        sink: LiveWriter,
        effort: LiveQuality,
        *,
        most: float,
        governor: Governor | None,
        watchdog: Watchdog,
        waits: bool = False,
    ) -> None:
        self._source, self._sink = source, sink
        self._effort, self._governor, self._most = effort, governor, most
        self.mailbox = Mailbox(patience=most / 2, waits=waits)
        self.latency = LatencyMeter()
        self.frames_in = self.frames_out = 0
        self.arrivals: deque[float] = deque(maxlen=300)
        """When the last frames came."""
        self.sink_gone = False
        """Whoever read the result has gone away."""
        self._tokens = threading.Semaphore(_IN_FLIGHT)
        self._failure: BaseException | None = None
        self._finished = threading.Event()
        self._counted_drops = self._hurried = 0
        self._began = False
        self._reading = watchdog.post("source")
        self._tracking = watchdog.post("track")
        self._restoring = watchdog.post("restore")
        self._writing = watchdog.post("sink")
        self._reader = threading.Thread(target=self._read, name="live-read", daemon=True)
        self._writer = threading.Thread(target=self._write, name="live-write", daemon=True)

    def start(self) -> None:
        """Begin to read; of what comes, the newest is kept until `work`."""
        self._began = True
        self._reader.start()

    def work(self, frames: "Pipeline") -> int:
        """Begin to enhance and to write.

        Args:    frames: built with `live` and with the same `effort`.
        Returns: frames that came before, and are in no count.
        """
        self._frames = frames
        missed, self.frames_in = self.mailbox.begin()
        self._writer.start()
        if not self._began:
            self.start()
        return missed

    def wait(self, seconds: float) -> bool:
        """Whether everything is done, after so long at most.

        Raises: what went wrong in any thread.
        """
        done = self._finished.wait(seconds)
        if done and self._failure is not None:
            raise self._failure
        return done

    def stop(self) -> None:
        """End soon: what is on its way is still written."""
        self._source.interrupt()
        self.mailbox.end()

    def close(self) -> None:
        """End, and join all threads; a sink that takes nothing is given up."""
        self.stop()
        if self._writer.is_alive():
            self._writer.join(_CLOSING)
        if self._writer.is_alive() or not self._finished.is_set():
            self.mailbox.clear()
            self._sink.abort()
        for thread in (self._writer, self._reader):
            if thread.is_alive():
                thread.join(_CLOSING)

    @property
    def states(self) -> dict[str, str]:
        """What the ends say of themselves."""
        return {"source": self._source.state, "sink": self._sink.state}

    @property
    def busy(self) -> dict[str, float]:
        """Seconds of work so far, by thread."""
        posts = (self._tracking, self._restoring, self._writing)
        return {post.name: post.busy for post in posts}

    # The four threads ---------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            for arrival in self._source:
                if isinstance(arrival.item, Frame):
                    self.frames_in += 1
                    self.arrivals.append(arrival.at)
                self._reading.begin("handing on what the source sent")
                self.mailbox.put(arrival)
                self._reading.end()
        except BaseException as error:
            self._fail(error)
        finally:
            self.mailbox.end()

    def _taken(self) -> Iterator[Arrival]:
        """From the mailbox, frames only while few enough are in flight."""
        while not self.mailbox.over:
            if not self._tokens.acquire(timeout=_POLL):
                continue
            arrival = self.mailbox.take(_POLL)
            if arrival is None or not isinstance(arrival.item, Frame):
                self._tokens.release()
            if arrival is not None:
                yield arrival

    def _tracked(self) -> Iterator[_Item]:
        for arrival in self._taken():
            item = arrival.item
            if not isinstance(item, Frame):
                if isinstance(item, Feed):
                    self._frames.track(None)  # Whoever was in the old picture is gone.
                yield item
                continue
            self._tracking.begin("looking for faces")
            found = self._look(item)
            yield _Moving(found, arrival.at, track=self._tracking.end())

    def _look(self, frame: Frame) -> TrackedFrame:
        if not self._effort.level.enhances and self._effort.faded:
            return self._frames.skip_tracking(frame)
        return self._frames.track(frame)[0]

    def _restored(self, items: Iterable[_Item]) -> Iterator[_Item]:
        for item in items:
            if not isinstance(item, _Moving):
                yield item
                continue
            assert isinstance(item.item, TrackedFrame)
            self._restoring.begin("enhancing a frame")
            self._hasten(item.arrived)
            done = self._frames.restore(item.item)
            seconds = self._restoring.end()
            if not done:  # Never, without lookahead, but for half a frame.
                self._tokens.release()
            for frame in done:
                yield _Moving(frame, item.arrived, item.track, seconds, self._effort.fresh)

    def _hasten(self, arrived: float) -> None:
        """A frame that would be late with the networks goes without."""
        expected = self._governor.expected if self._governor is not None else 0.0
        late = time.monotonic() - arrived + expected > _IN_TIME * self._most
        # Not for long: what networks take is only known while they work.
        self._effort.hurry = late and self._hurried < _MOST_HURRIED
        self._hurried = self._hurried + 1 if self._effort.hurry else 0

    def _write(self) -> None:
        try:
            with ThreadChain(self._tracked(), self._restored, items=1) as restored:
                self._put_all(restored)
            self._writing.begin("finishing the output")
            self._sink.close()
        except BaseException as error:
            self._sink.abort()
            self.sink_gone = isinstance(error, ReaderGoneError)
            if not self.sink_gone:
                self._fail(error)
        finally:
            self._writing.end()
            self.stop()
            self._finished.set()

    def _put_all(self, items: Iterable[_Item]) -> None:
        companions = Companions()
        try:
            for item in items:
                self._put(item, companions)
            for packet in companions.flush():
                self._sink.push_packet(packet)
        finally:
            # Whoever hands on to us must come to an end, or they could not be joined.
            self.stop()
            self.mailbox.clear()

    def _put(self, item: _Item, companions: Companions) -> None:
        if isinstance(item, Passthrough):
            for packet in companions.push(item):
                self._sink.push_packet(packet)
        elif isinstance(item, Feed):
            for packet in companions.flush():
                self._sink.push_packet(packet)
            self._sink.change(item)
        else:
            assert isinstance(item.item, Frame)
            for packet in companions.reach(item.item.seconds):
                self._sink.push_packet(packet)
            self._writing.begin("writing a frame")
            try:
                self._sink.push(item.item)
            finally:
                write = self._writing.end()
                self._tokens.release()
            self._departed(item, write)

    def _departed(self, item: _Moving, write: float) -> None:
        latency = time.monotonic() - item.arrived
        self.frames_out += 1
        self.latency.push(latency)
        dropped = self.mailbox.dropped
        if self._governor is not None:
            since = dropped - self._counted_drops
            self._governor.push(Sample(latency, item.track, item.restore, write, item.fresh, since))
        self._counted_drops = dropped

    def _fail(self, error: BaseException) -> None:
        """Keep the first thing that went wrong."""
        if self._failure is None:
            self._failure = error
