"""Audio and the like wait for the picture that they belong to.

Packets come through in microseconds, frames in tens of milliseconds. Were packets written as they
come, a player would get sound long before its picture, and streams that are written in the order
of their times would stall.
"""

import time
from collections import deque

from crsr_video.io.pyav import Passthrough

_LEAD = 0.1
"""Seconds by which sound may go before its picture: a container that puts both in order has it then
when the picture comes, and need not wait."""
_LONGEST = 1.0
"""Seconds after which a packet goes on without its picture: there may be none."""
_MOST = 4096


class Companions:
    """Holds packets until a frame of about their time is about to leave."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Passthrough]] = deque()
        self._reached = float("-inf")
        """Time of the last frame that left, in seconds of the feed."""

    def push(self, item: Passthrough, now: float | None = None) -> list[Passthrough]:
        """Take a packet; return those that may go, in order."""
        self._waiting.append((time.monotonic() if now is None else now, item))
        return self.due(now)

    def reach(self, seconds: float, now: float | None = None) -> list[Passthrough]:
        """A frame of this time is about to leave; return the packets that go before it."""
        self._reached = seconds
        return self.due(now)

    def due(self, now: float | None = None) -> list[Passthrough]:
        """Packets that may go: it is their picture's turn, or they have waited long enough."""
        now = time.monotonic() if now is None else now
        done = []
        while self._waiting and self._may_go(now):
            done.append(self._waiting.popleft()[1])
        return done

    def flush(self) -> list[Passthrough]:
        """All that wait."""
        done = [item for _, item in self._waiting]
        self._waiting.clear()
        return done

    def _may_go(self, now: float) -> bool:
        came, item = self._waiting[0]
        return (
            _seconds(item) <= self._reached + _LEAD
            or came <= now - _LONGEST
            or len(self._waiting) > _MOST
        )


def _seconds(item: Passthrough) -> float:
    """When a packet is to be heard; at once, if it has no time."""
    packet = item.packet
    ticks = packet.pts if packet.pts is not None else packet.dts
    if ticks is None or packet.time_base is None:
        return float("-inf")
    return float(ticks * packet.time_base)
