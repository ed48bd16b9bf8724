"""Move frames from a reader through a pipeline to a writer, in threads.

`ThreadChain` runs the steps of a job in threads with bounded queues between them. `Runner` is the
job of enhancing a video: one thread reads and tracks, one enhances, and the calling thread writes.
Jobs with other rules (a segment of a video, a live stream) override its methods.

Frames that arrive one by one need no threads: `Pipeline.push` takes and returns them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

from crsr_video.types import Frame, TrackedFrame

QUEUE_ITEMS = 4
"""Maximum number of items that wait between two threads. It is large enough to hide jitter, and
small enough to hold 4K frames in memory."""
QUEUE_BYTES = 256 << 20
"""Maximum number of bytes that wait between two threads. One item of any size is always allowed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run.

    Attributes:
        frames: Number of finished frames.
        total: Estimated total number of frames, or 0 if it is unknown.
        seconds: Time since the first frame was read.
        faces: Number of faces in the latest frame.
        resumed: Number of the finished frames that an earlier run had finished.
    """

    frames: int
    total: int
    seconds: float
    faces: int
    resumed: int = 0

    @property
    def fps(self) -> float:
        """Frames per second of this run so far."""
        return (self.frames - self.resumed) / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """Summary of a finished run, which enhanced a file, analysed one, or was live.

    Attributes:
        seconds: Duration of the whole run.
        startup_seconds: Part of that duration before the first frame.
        truncated: Whether the source ended early. All frames that exist were processed.
        concealed: Number of frames in which the decoder concealed damage.
        damaged: Number of video packets that could not be decoded.
        notices: Notices for the user.
    """

    seconds: float
    startup_seconds: float
    truncated: bool = False
    concealed: int = 0
    damaged: int = 0
    notices: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether the source was truncated or damaged, so that the output is incomplete."""
        return self.truncated or self.concealed > 0 or self.damaged > 0

    def rate_of(self, frames: int) -> float:
        """Return the frames per second of the run, not counting the time before the first frame."""
        running = self.seconds - self.startup_seconds
        return frames / running if running > 0 else 0.0


class Notices:
    """Collects notices for the user, and passes each one on only once.

    Args:
        on_notice: Called with each new notice.
    """

    def __init__(self, on_notice: Callable[[str], None] | None = None) -> None:
        self._on_notice = on_notice
        self._lines: dict[str, None] = {}

    def add(self, *lines: str) -> None:
        """Add notices, and pass on those that are new."""
        for line in lines:
            if line not in self._lines:
                self._lines[line] = None
                if self._on_notice is not None:
                    self._on_notice(line)

    @property
    def lines(self) -> tuple[str, ...]:
        """All notices so far, in order."""
        return tuple(self._lines)


class FrameReader(Protocol):
    """A source of frames, and of packets of other streams."""

    def __iter__(self) -> Iterator[Any]:
        """Yield frames in presentation order, with packets of other streams in between."""
        ...

    def interrupt(self) -> None:
        """Make the iteration end soon. Any thread may call this."""
        ...


class FrameWriter(Protocol):
    """A destination of frames, and of packets of other streams."""

    def push(self, frame: Frame) -> None:
        """Write a frame."""
        ...

    def push_packet(self, item: Any) -> None:
        """Write a packet of another stream unchanged."""
        ...


class FramePipeline(Protocol):
    """The stages of a pipeline, in two parts that may run in different threads."""

    def track(self, frame: Frame | None) -> list[TrackedFrame]:
        """Run the first stage. None ends the stream."""
        ...

    def restore(self, item: TrackedFrame | None) -> list[Frame]:
        """Run all further stages. None ends the stream."""
        ...


class Runner:
    """Enhances a video from its first frame to its last, as fast as its slowest thread allows.

    Args:
        reader: Source of the frames and packets.
        pipeline: Processes the frames. Packets bypass it, and keep their place in the order.
        writer: Destination of the frames and packets.
        on_frame: Called in the calling thread with every finished frame.
    """

    queue_items = QUEUE_ITEMS

    def __init__(
        self,
        reader: FrameReader,
        pipeline: FramePipeline,
        writer: FrameWriter,
        *,
        on_frame: Callable[[Frame], None] = lambda _: None,
    ) -> None:
        self._reader, self._pipeline, self._writer = reader, pipeline, writer
        self._on_frame = on_frame
        self.read_seconds = 0.0
        """Time spent on reading so far, such as on decoding."""
        self.write_seconds = 0.0
        """Time spent on writing so far, such as on encoding."""

    def run(self) -> None:
        """Move all items from the reader to the writer, and return after the last one is written.

        Raises:
            BaseException: Any exception that a thread raised. By then, all threads have ended.
        """
        with ThreadChain(
            self._tracked(),
            self._restored,
            items=self.queue_items,
            interrupt=self._reader.interrupt,
        ) as finished:
            for item in finished:
                begin = time.perf_counter()
                goes_on = self.write(item)
                self.write_seconds += time.perf_counter() - begin
                if not goes_on:
                    return
                if isinstance(item, Frame):
                    self._on_frame(item)
                del item  # A frame must not stay in memory while the loop waits for the next one.

    def read(self) -> Iterator[Any]:
        """Yield the reader's items, and add the time that reading takes to `read_seconds`."""
        items = iter(self._reader)
        while True:
            begin = time.perf_counter()
            item = next(items, None)
            self.read_seconds += time.perf_counter() - begin
            if item is None:
                return
            yield item
            del item

    def track(self, frame: Frame | None) -> list[TrackedFrame]:
        """Find the faces of a frame, in the reading thread. None ends the stream."""
        return self._pipeline.track(frame)

    def restore(self, item: TrackedFrame | None) -> list[Frame]:
        """Enhance the faces of a frame, in the enhancing thread. None ends the stream."""
        return self._pipeline.restore(item)

    def write(self, item: Any) -> bool:
        """Write a frame or a packet, and return whether the run should continue."""
        if isinstance(item, Frame):
            self._writer.push(item)
        else:
            self._writer.push_packet(item)
        return True

    def _tracked(self) -> Iterator[Any]:
        for item in self.read():
            if isinstance(item, Frame):
                yield from self.track(item)
            else:
                yield item
            del item
        yield from self.track(None)

    def _restored(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            if isinstance(item, TrackedFrame):
                yield from self.restore(item)
            else:
                yield item
            del item
        yield from self.restore(None)


class ThreadChain:
    """Runs a source and the steps after it in one thread each, and yields the last step's items.

    Use it as a context manager. Leaving the context ends and joins every thread. If a thread raises
    an exception, the iteration raises it again, after the items that came before it.

        with ThreadChain(read(), enhance) as finished:
            for item in finished:
                write(item)

    Args:
        source: An iterable that is iterated in the first thread.
        *steps: Each takes the previous thread's items and returns an iterable of its own, which is
            iterated in the next thread.
        items: Number of items that may wait between two threads.
        max_bytes: Total size of the items that may wait between two threads.
        interrupt: Called when the context is left, to end a source that is waiting for input.
    """

    def __init__(
        self,
        source: Iterable[Any],
        *steps: Callable[[Iterable[Any]], Iterable[Any]],
        items: int = QUEUE_ITEMS,
        max_bytes: int = QUEUE_BYTES,
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self._interrupt = interrupt
        self._queues: list[_Queue] = []
        self._threads: list[threading.Thread] = []
        incoming = source
        for number, step in enumerate((lambda first: first, *steps)):
            queue = _Queue(items, max_bytes)
            thread = threading.Thread(
                target=_run_step,
                args=(step, incoming, queue),
                name=f"chain-{number}",
                daemon=True,
            )
            self._queues.append(queue)
            self._threads.append(thread)
            incoming = queue

    def __enter__(self) -> Self:
        """Start the threads."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop and join the threads."""
        for queue in self._queues:
            queue.stop()
        self._interrupt()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[Any]:
        """Yield the items of the last step, once."""
        return iter(self._queues[-1])


def _run_step(
    step: Callable[[Iterable[Any]], Iterable[Any]], incoming: Iterable[Any], queue: "_Queue"
) -> None:
    try:
        for item in step(incoming):
            queue.put(item)
            del item
    except _Stopped:
        pass
    except BaseException as error:
        queue.end(error)
    else:
        queue.end()


class _Stopped(BaseException):
    """Raised in a thread when the chain stops, so that it ends without finishing its work."""


class _Queue:
    """A queue of items between two threads, limited in number and in bytes."""

    def __init__(self, items: int, max_bytes: int) -> None:
        self._most_items, self._most_bytes = items, max_bytes
        self._items: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_ended = self._is_stopped = False
        self._error: BaseException | None = None

    def put(self, item: Any) -> None:
        """Append an item, after waiting until there is room for it.

        If the item alone fills the queue, wait until the next thread has finished with it, so that
        only one such frame is in memory.
        """
        size = _size_of(item)
        with self._changed:
            while not self._is_stopped and self._is_full(size):
                self._changed.wait()
            if self._is_stopped:
                raise _Stopped
            self._items.append((item, size))
            self._bytes += size
            self._changed.notify_all()
            while size >= self._most_bytes and self._bytes and not self._is_stopped:
                self._changed.wait()

    def end(self, error: BaseException | None = None) -> None:
        """End the iteration after all waiting items, and raise the error there if there is one."""
        with self._changed:
            self._is_ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Discard all waiting items, and make both threads end soon."""
        with self._changed:
            self._is_stopped = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        while True:
            with self._changed:
                while not (self._items or self._is_ended or self._is_stopped):
                    self._changed.wait()
                if self._is_stopped:
                    raise _Stopped
                if not self._items:
                    break
                item, size = self._items.popleft()
                if size < self._most_bytes:
                    self._bytes -= size
                    size = 0
                self._changed.notify_all()
            yield item
            del item  # A frame must not stay in memory while the thread waits for the next one.
            if size:  # A giant frame counts until the thread has finished with it.
                with self._changed:
                    self._bytes -= size
                    self._changed.notify_all()
        if self._error is not None:
            raise self._error

    def _is_full(self, size: int) -> bool:
        if not self._items and not self._bytes:
            return False
        return len(self._items) >= self._most_items or self._bytes + size > self._most_bytes


def _size_of(item: Any) -> int:
    """Return the size of an item in bytes. Packets are small and count as 0 bytes."""
    match item:
        case TrackedFrame():
            return _size_of(item.frame)
        case Frame():
            return item.nbytes
        case _:
            return 0
