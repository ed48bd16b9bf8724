"""The runner of live streams, which drops old frames to keep the latency within its budget.

Four threads work between a reader and a writer: one receives frames, and the three of `Runner`
track, enhance and write them. No more than `_MAX_IN_FLIGHT` frames are between the queue and the
writer at any time. Other frames wait in the queue, and are dropped there when newer ones come.
Therefore, the delay is at most the processing time of a few frames, however long the run lasts.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crsr_video.closing import Closing
from crsr_video.errors import ReaderGoneError
from crsr_video.io.pyav import Passthrough
from crsr_video.io.source import Source
from crsr_video.live.quality_controller import FrameTiming, QualityController
from crsr_video.live.queues import LatestFrameQueue, SideStreams
from crsr_video.live.settings import LiveSink, LiveSource
from crsr_video.live.statistics import LatencyMeter
from crsr_video.live.watchdog import Watchdog
from crsr_video.runner import Runner
from crsr_video.stages.quality import LiveQuality
from crsr_video.types import Frame, TrackedFrame

if TYPE_CHECKING:  # A stream starts before torch is imported.
    from crsr_video.pipeline import Pipeline

_MAX_IN_FLIGHT = 3
"""Frames in flight: one is tracked, one is enhanced, one is written."""
_IN_TIME_SHARE = 0.7
"""Share of the allowed latency within which a frame should be written. A frame that would be
written later skips the networks, so that the frames behind it are in time again."""
_MAX_HURRIED = 2
"""Number of consecutive frames that may skip the networks for that reason."""
_CLOSING_SECONDS = 2.0
"""Time that the last frames and the end of the output may take."""
_FADE_SECONDS = 0.5
"""Time over which the enhancement grows to its full strength if the stream began without it."""

_PATIENCE_SECONDS = 2.0
"""Maximum time after the enhancement begins in which no frames are dropped for being late."""


class LiveRunner(Closing):
    """Runs a live stream until the source ends, the receiver disconnects, or `stop` is called.

    Args:
        source: An open reader. It is not closed by this object.
        sink: An open writer. It is closed by this object.
        quality: The quality level in use, which the stages share.
        max_latency_seconds: Latency that 95 % of the frames should stay below.
        controller: Sets `quality`. None keeps the quality as it is.
        watchdog: Reports threads that are stuck.
        drops_frames: Whether frames that are too late are dropped. Otherwise the source waits.
        strength: Called before each frame. Returns the share of the correction that is applied.
        closing_seconds: Time that the last frames and the end of the output may take.
    """

    def __init__(
        self,
        source: LiveSource,
        sink: LiveSink,
        quality: LiveQuality,
        *,
        max_latency_seconds: float,
        controller: QualityController | None,
        watchdog: Watchdog,
        drops_frames: bool = True,
        strength: Callable[[], float] = lambda: 1.0,
        closing_seconds: float = _CLOSING_SECONDS,
    ) -> None:
        self._source, self._sink, self._quality = source, sink, quality
        self._controller, self._max_latency = controller, max_latency_seconds
        self._watchdog, self._closing_seconds = watchdog, closing_seconds
        self._strength, self._drops_frames = strength, drops_frames
        self.queue = LatestFrameQueue(
            max_age_seconds=max_latency_seconds / 2,
            max_in_flight=_MAX_IN_FLIGHT,
            blocks=not drops_frames,
        )
        self.latency = LatencyMeter()
        self.frames_in = 0
        """Frames that have arrived."""
        self.arrivals: deque[float] = deque(maxlen=300)
        """Times at which the latest frames arrived."""
        self.sink_gone = False
        """Whether the receiver of the output has left."""
        self._flow: _LiveFlow | None = None
        self._failure: BaseException | None = None
        self._finished = threading.Event()
        self._receiving = watchdog.add("source")
        self._receiver = threading.Thread(target=self._receive, name="live-read", daemon=True)
        self._writer = threading.Thread(target=self._run, name="live-write", daemon=True)

    def start(self, pipeline: "Pipeline | None" = None) -> None:
        """Begin to receive and to write.

        Args:
            pipeline: A pipeline for live use with the same `quality`. Without one, all frames pass
                unchanged until `use` is called.
        """
        self.queue.is_patient = pipeline is None
        self._flow = _LiveFlow(
            self.queue,
            pipeline,
            self._sink,
            quality=self._quality,
            max_latency_seconds=self._max_latency,
            controller=self._controller,
            watchdog=self._watchdog,
            latency=self.latency,
            strength=self._strength,
        )
        self._writer.start()
        self._receiver.start()

    def use(self, pipeline: "Pipeline") -> None:
        """Enhance frames with this pipeline from the next frame on.

        If frames passed unchanged before, the enhancement grows to its full strength over half a
        second. The previous pipeline, if any, may still be in use for a few frames.
        """
        assert self._flow is not None
        self._flow.use(pipeline)

    def wait(self, seconds: float) -> bool:
        """Wait up to some seconds, and return whether the run has finished.

        Raises:
            BaseException: Whatever was raised in any of the threads.
        """
        is_done = self._finished.wait(seconds)
        if is_done and self._failure is not None:
            raise self._failure
        return is_done

    def stop(self) -> None:
        """End the run soon. Frames that were taken from the queue are still written."""
        self._source.interrupt()
        self.queue.end()

    def close(self) -> None:
        """End the run, and join all threads. A writer that takes too long is aborted."""
        self.stop()
        if self._writer.is_alive():
            self._writer.join(self._closing_seconds)
        if self._writer.is_alive() or not self._finished.is_set():
            self.queue.clear()
            self._sink.abort()
        for thread in (self._writer, self._receiver):
            if thread.is_alive():
                thread.join(self._closing_seconds)

    @property
    def frames_out(self) -> int:
        """Frames that were written."""
        return self._flow.frames_out if self._flow is not None else 0

    @property
    def frames_passed(self) -> int:
        """Frames that passed unchanged before there was a pipeline."""
        return self._flow.frames_passed if self._flow is not None else 0

    @property
    def write_busy_seconds(self) -> float:
        """Time spent on writing."""
        return self._flow.writing.busy_seconds if self._flow is not None else 0.0

    @property
    def states(self) -> dict[str, str]:
        """Activities of the reader and the writer, for messages."""
        return {"source": self._source.state, "sink": self._sink.state}

    def _receive(self) -> None:
        try:
            for arrival in self._source:
                if not self._drops_frames:  # The first items of a file waited for the networks.
                    arrival = replace(arrival, at=time.monotonic())
                if isinstance(arrival.item, Frame):
                    self.frames_in += 1
                    self.arrivals.append(arrival.at)
                self._receiving.begin("queueing what the source sent")
                self.queue.put(arrival)
                self._receiving.end()
        except BaseException as error:
            self._fail(error)
        finally:
            self.queue.end()

    def _run(self) -> None:
        assert self._flow is not None
        try:
            self._flow.run()
            self._flow.finish()
        except BaseException as error:
            self._sink.abort()
            self.sink_gone = isinstance(error, ReaderGoneError)
            if not self.sink_gone:
                self._fail(error)
        finally:
            self.stop()
            self._finished.set()

    def _fail(self, error: BaseException) -> None:
        """Keep the first failure."""
        if self._failure is None:
            self._failure = error


class _Unchanged:
    """Returns all frames as they are, like a pipeline that finds no faces."""

    def track(self, frame: Frame | None) -> list[TrackedFrame]:
        return [] if frame is None else [TrackedFrame(frame)]

    def skip_tracking(self, frame: Frame) -> TrackedFrame:
        return TrackedFrame(frame)

    def restore(self, item: TrackedFrame | None) -> list[Frame]:
        return [] if item is None else [item.frame]

    def set_strength(self, strength: float) -> None:
        """Do nothing."""


@dataclass(slots=True)
class _Ticket:
    """Arrival and processing times of one frame."""

    arrived: float
    track: float = 0.0
    restore: float = 0.0
    fresh: bool = True
    is_enhanced: bool = True
    """Whether there was a pipeline for this frame."""


class _LiveFlow(Runner):
    """Moves frames from the queue to the writer, each with a ticket that records its times.

    The stages have no lookahead, so that frames and tickets stay in the same order.
    """

    queue_items = 1

    def __init__(
        self,
        queue: LatestFrameQueue,
        pipeline: "Pipeline | None",
        sink: LiveSink,
        *,
        quality: LiveQuality,
        max_latency_seconds: float,
        controller: QualityController | None,
        watchdog: Watchdog,
        latency: LatencyMeter,
        strength: Callable[[], float],
    ) -> None:
        self._stages: Pipeline | _Unchanged = pipeline or _Unchanged()
        super().__init__(queue, self._stages, sink)
        self._sink, self._queue, self._strength = sink, queue, strength
        self._is_enhancing = pipeline is not None
        self._fades_since: float | None = None
        self._quality, self._controller = quality, controller
        self._max_latency, self._latency = max_latency_seconds, latency
        self._tracking = watchdog.add("track")
        self._restoring = watchdog.add("restore")
        self.writing = watchdog.add("sink")
        self.frames_out = self.frames_passed = 0
        self._side_streams = SideStreams()
        self._tickets_to_track: deque[_Ticket] = deque()
        self._tickets_to_restore: deque[_Ticket] = deque()
        self._tickets_to_write: deque[_Ticket] = deque()
        self._hurried = self._counted_drops = 0

    def use(self, pipeline: "Pipeline") -> None:
        """Enhance frames with this pipeline from the next frame on."""
        if not self._is_enhancing:
            self._fades_since = time.monotonic()
        self._stages, self._is_enhancing = pipeline, True

    def read(self) -> Iterator[Any]:
        """Yield the arriving items, and record when frames arrive."""
        for arrival in self._queue:
            if isinstance(arrival.item, Frame):
                self._tickets_to_track.append(_Ticket(arrival.at))
            elif isinstance(arrival.item, Source):
                self._stages.track(None)  # The people of the previous picture have gone.
            yield arrival.item

    def track(self, frame: Frame | None) -> list[TrackedFrame]:
        """Find the faces of a frame, unless nothing is enhanced at this quality level."""
        if frame is None:
            return self._stages.track(None)
        ticket = self._tickets_to_track.popleft()
        self._tracking.begin("tracking faces")
        if not self._quality.level.enhances and self._quality.faded:
            found = [self._stages.skip_tracking(frame)]
        else:
            found = self._stages.track(frame)
        ticket.track = self._tracking.end()
        self._tickets_to_restore.append(ticket)
        return found

    def restore(self, item: TrackedFrame | None) -> list[Frame]:
        """Enhance the faces of a frame, without the networks if it would be late."""
        if item is None:
            done = self._stages.restore(None)
            self._tickets_to_write.extend(_Ticket(time.monotonic()) for _ in done)
            return done
        ticket = self._tickets_to_restore.popleft()
        self._restoring.begin("enhancing a frame")
        self._choose_hurry(ticket.arrived)
        ticket.is_enhanced = self._is_enhancing
        self._stages.set_strength(self._strength() * self._faded_in())
        done = self._stages.restore(item)
        ticket.restore, ticket.fresh = self._restoring.end(), self._quality.fresh
        if not done:  # This was the first field of an interlaced frame.
            self._queue.release()
        self._tickets_to_write.extend(ticket for _ in done)
        return done

    def write(self, item: Any) -> bool:
        """Write an item after the packets of other streams that are due before it."""
        if isinstance(item, Passthrough):
            self._push_packets(self._side_streams.push(item))
        elif isinstance(item, Source):
            self._push_packets(self._side_streams.flush())
            self._sink.change(item)
        else:
            self._push_packets(self._side_streams.reach(item.seconds))
            self.writing.begin("writing a frame")
            try:
                self._sink.push(item)
            finally:
                seconds = self.writing.end()
                self._queue.release()
            self._note_times(self._tickets_to_write.popleft(), seconds)
        return True

    def finish(self) -> None:
        """Write the waiting packets, and finish the output."""
        self._push_packets(self._side_streams.flush())
        self.writing.begin("finishing the output")
        try:
            self._sink.close()
        finally:
            self.writing.end()

    def _faded_in(self) -> float:
        """Return the share of its full strength that the enhancement has reached, 0 to 1."""
        if self._fades_since is None:
            return 1.0
        seconds = time.monotonic() - self._fades_since
        # The first frames take longer, and the frames that wait in the meantime are shown too.
        if self._queue.waiting <= 1 or seconds > _PATIENCE_SECONDS:
            self._queue.is_patient = False
            if seconds > _FADE_SECONDS:
                self._fades_since = None
        return min(1.0, seconds / _FADE_SECONDS)

    def _push_packets(self, packets: list[Passthrough]) -> None:
        for packet in packets:
            self._sink.push_packet(packet)

    def _choose_hurry(self, arrived: float) -> None:
        """Let a frame that would be late skip the networks."""
        expected = self._controller.expected_seconds if self._controller is not None else 0.0
        is_late = time.monotonic() - arrived + expected > _IN_TIME_SHARE * self._max_latency
        # Only a few frames may do so, because the networks' time is measured only while they run.
        self._quality.hurry = is_late and self._hurried < _MAX_HURRIED
        self._hurried = self._hurried + 1 if self._quality.hurry else 0

    def _note_times(self, ticket: _Ticket, write_seconds: float) -> None:
        latency = time.monotonic() - ticket.arrived
        self.frames_out += 1
        self._latency.push(latency)
        self.frames_passed += not ticket.is_enhanced
        dropped = self._queue.dropped
        if self._controller is not None and ticket.is_enhanced:
            self._controller.push(
                FrameTiming(
                    latency=latency,
                    track=ticket.track,
                    restore=ticket.restore,
                    write=write_seconds,
                    fresh=ticket.fresh,
                    dropped=dropped - self._counted_drops,
                )
            )
        self._counted_drops = dropped
