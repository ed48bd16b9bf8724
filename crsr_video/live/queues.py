"""Queues of a live run: one drops frames that are too old, one holds packets for their frames."""

import threading
import time
from collections import deque
from collections.abc import Iterator

from crsr_video.io.pyav import Passthrough
from crsr_video.io.source import Arrival, Source
from crsr_video.types import Frame

_MAX_PACKETS = 4096
_MAX_PACKET_BYTES = 64 << 20
"""Maximum number of bytes of waiting packets. Beyond it, the oldest are dropped or written."""
_PATIENT_FRAMES, _PATIENT_BYTES = 90, 128 << 20
"""Maximum number of frames that wait in a patient queue, and of their bytes."""
_MAX_LEAD_SECONDS = 0.1
"""Time by which sound is written before its frame. A container that sorts packets by time then
already has the sound when the frame arrives, and need not wait for it."""
_MAX_WAIT_SECONDS = 1.0
"""Time after which a packet is written without waiting for its frame, which may never come."""


class LatestFrameQueue:
    """A bounded queue of the items that have arrived, in order. It never blocks a live sender.

    If frames are too old when their turn comes, or if too many frames wait, the oldest frames are
    dropped, so that the delay does not grow. Changes of the source are never dropped.

    Args:
        max_frames: Number of frames that may wait.
        max_age_seconds: Age above which a frame is dropped if a newer one waits.
        max_in_flight: Number of frames that may have been taken but not yet released.
        blocks: Let the sender wait instead of dropping frames. This is for files.
    """

    def __init__(
        self,
        *,
        max_frames: int = 3,
        max_age_seconds: float = 0.04,
        max_in_flight: int | None = None,
        blocks: bool = False,
    ) -> None:
        self._items: deque[Arrival] = deque()
        self._changed = threading.Condition()
        self._max_frames = max_frames
        self._max_age_seconds = max_age_seconds
        self._blocks = blocks
        self._max_in_flight = max_in_flight
        self._frames = self._packets = self._packet_bytes = self._in_flight = 0
        self._has_ended = False
        self.is_patient = False
        """Whether up to a few seconds of frames wait instead of being dropped."""
        self.dropped = 0
        """Number of dropped frames."""
        self.dropped_packets = 0
        """Number of dropped packets of other streams."""

    def put(self, arrival: Arrival) -> None:
        """Append an item. After `end`, this method does nothing."""
        with self._changed:
            while self._blocks and self._frames >= self._max_frames and not self._has_ended:
                self._changed.wait()
            if self._has_ended:
                return
            self._items.append(arrival)
            self._count(arrival, 1)
            while self._frames > self._most_frames(arrival.item):
                self._drop_frame()
            while self._packets > _MAX_PACKETS or self._packet_bytes > _MAX_PACKET_BYTES:
                self._drop_packet()
            self._changed.notify_all()

    def take(self, timeout_seconds: float | None = None) -> Arrival | None:
        """Return the next item, or None after the timeout or if no further items will come.

        A frame is returned only while fewer than `max_in_flight` are in flight; see `release`.
        """
        with self._changed:
            if not self._changed.wait_for(self._can_take, timeout_seconds) or not self._items:
                return None
            if not self._blocks and not self.is_patient:
                self._drop_stale_frames()
            arrival = self._items.popleft()
            self._count(arrival, -1)
            self._in_flight += isinstance(arrival.item, Frame)
            self._changed.notify_all()
            return arrival

    @property
    def waiting(self) -> int:
        """Number of frames that wait."""
        return self._frames

    def release(self) -> None:
        """Report that a frame taken from the queue is finished."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Arrival]:
        """Yield all items, until `end` was called and none are left."""
        while (arrival := self.take()) is not None:
            yield arrival

    def interrupt(self) -> None:
        """End the iteration at once."""
        self.end()
        self.clear()

    def end(self) -> None:
        """Accept no further items. Items that wait can still be taken."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Drop all items that wait, without counting them."""
        with self._changed:
            self._items.clear()
            self._frames = self._packets = self._packet_bytes = 0
            self._changed.notify_all()

    def _most_frames(self, item: Frame | Passthrough | Source) -> int:
        """Return the number of frames that may wait if all are as large as this one."""
        if not self.is_patient:
            return self._max_frames
        if not isinstance(item, Frame):
            return _PATIENT_FRAMES
        return max(self._max_frames, min(_PATIENT_FRAMES, _PATIENT_BYTES // item.nbytes))

    def _can_take(self) -> bool:
        if not self._items:
            return self._has_ended
        if self._max_in_flight is None or not isinstance(self._items[0].item, Frame):
            return True
        return self._in_flight < self._max_in_flight

    def _count(self, arrival: Arrival, by: int) -> None:
        if isinstance(arrival.item, Frame):
            self._frames += by
        elif isinstance(arrival.item, Passthrough):
            self._packets += by
            self._packet_bytes += by * arrival.item.packet.size

    def _drop_stale_frames(self) -> None:
        """Drop frames that are too old while newer ones wait."""
        oldest = time.monotonic() - self._max_age_seconds
        while self._frames > 1 and self._first_frame().at < oldest:
            self._drop_frame()

    def _first_frame(self) -> Arrival:
        return next(a for a in self._items if isinstance(a.item, Frame))

    def _drop_frame(self) -> None:
        arrival = self._first_frame()
        self._items.remove(arrival)
        self._count(arrival, -1)
        self.dropped += 1

    def _drop_packet(self) -> None:
        arrival = next(a for a in self._items if isinstance(a.item, Passthrough))
        self._items.remove(arrival)
        self._count(arrival, -1)
        self.dropped_packets += 1


class SideStreams:
    """Packets of sound and other streams, held until a frame of about their time is written.

    A packet passes through in microseconds, but a frame takes tens of milliseconds. If packets were
    written at once, players would get sound long before its frame, and containers that sort by time
    would wait for the frame.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Passthrough]] = deque()
        self._bytes = 0
        self._reached_seconds = float("-inf")

    def push(self, item: Passthrough, now: float | None = None) -> list[Passthrough]:
        """Take a packet, and return those to write now, in order."""
        self._waiting.append((time.monotonic() if now is None else now, item))
        self._bytes += item.packet.size
        return self.due(now)

    def reach(self, seconds: float, now: float | None = None) -> list[Passthrough]:
        """Return the packets to write before a frame with this timestamp in seconds."""
        self._reached_seconds = seconds
        return self.due(now)

    def due(self, now: float | None = None) -> list[Passthrough]:
        """Return the packets whose frame was reached, or that have waited long enough."""
        now = time.monotonic() if now is None else now
        done = []
        while self._waiting and self._is_due(now):
            item = self._waiting.popleft()[1]
            self._bytes -= item.packet.size
            done.append(item)
        return done

    def flush(self) -> list[Passthrough]:
        """Return all packets that wait."""
        done = [item for _, item in self._waiting]
        self._waiting.clear()
        self._bytes = 0
        return done

    def _is_due(self, now: float) -> bool:
        arrived, item = self._waiting[0]
        return (
            _seconds(item) <= self._reached_seconds + _MAX_LEAD_SECONDS
            or arrived <= now - _MAX_WAIT_SECONDS
            or len(self._waiting) > _MAX_PACKETS
            or self._bytes > _MAX_PACKET_BYTES
        )


def _seconds(item: Passthrough) -> float:
    """Return the timestamp of a packet in seconds. A packet without one is due at once."""
    packet = item.packet
    ticks = packet.pts if packet.pts is not None else packet.dts
    if ticks is None or packet.time_base is None:
        return float("-inf")
    return float(ticks * packet.time_base)
