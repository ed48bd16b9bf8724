"""Between a source that does not wait and work that takes its time: a short queue that forgets."""

import threading
import time
from collections import deque

from crsr_video.io.feed import Arrival
from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame

_MOST_PACKETS = 4096
"""Of audio and the like that wait; a queue that is longer is of no use to anybody."""


class Mailbox:
    """What arrived and was not yet taken, in order; bounded, and never blocking its sender.

    Frames that are too old when their turn comes, or too many, are dropped if there are newer
    ones; so the delay does not grow. Changes of the feed are never dropped.
    Args: frames: that may wait.
          patience: seconds after its arrival until which a frame is worth beginning with.
          waits: the sender waits instead, and nothing is dropped: for files.
    """

    def __init__(self, *, frames: int = 3, patience: float = 0.04, waits: bool = False) -> None:
        self._items: deque[Arrival] = deque()
        self._changed = threading.Condition()
        self._most = frames
        self.patience = patience
        self._waits = waits
        self._frames = self._packets = 0
        self._ended = False
        self.dropped = 0
        """Frames so far."""
        self.dropped_packets = 0
        """Of other streams, so far."""

    def put(self, arrival: Arrival) -> None:
        """Something has arrived. Nothing happens after `end`."""
        with self._changed:
            while self._waits and self._frames >= self._most and not self._ended:
                self._changed.wait(0.1)
            if self._ended:
                return
            self._items.append(arrival)
            self._count(arrival, 1)
            while self._frames > self._most:
                self._drop_frame()
            if self._packets > _MOST_PACKETS:
                self._drop_packet()
            self._changed.notify_all()

    def take(self, timeout: float) -> Arrival | None:
        """The next one; None: nothing came in time, or nothing will come any more (`over`)."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended, timeout)
            if not self._waits:
                self._drop_stale()
            if not self._items:
                return None
            arrival = self._items.popleft()
            self._count(arrival, -1)
            self._changed.notify_all()
            return arrival

    def begin(self) -> tuple[int, int]:
        """From now on counts; returns the frames that were dropped before, and those that wait.

        Sound that is older than those goes too: it would be heard without a picture.
        """
        with self._changed:
            missed, self.dropped, self.dropped_packets = self.dropped, 0, 0
            while missed and self._items and isinstance(self._items[0].item, Passthrough):
                self._items.popleft()
                self._packets -= 1
            return missed, self._frames

    def end(self) -> None:
        """Nothing more will come; what is there can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything that waits."""
        with self._changed:
            self._items.clear()
            self._frames = self._packets = 0
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """Whether nothing is there, and nothing will be."""
        with self._changed:
            return self._ended and not self._items

    def _count(self, arrival: Arrival, by: int) -> None:
        if isinstance(arrival.item, Frame):
            self._frames += by
        elif isinstance(arrival.item, Passthrough):
            self._packets += by

    def _drop_stale(self) -> None:
        """Drop frames that are too old while newer ones wait."""
        oldest = time.monotonic() - self.patience
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
