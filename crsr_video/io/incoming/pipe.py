"""Bytes that come through a pipe, for PyAV to read from like a file."""

import math
import os
import select
import sys
import time
from collections.abc import Callable

from crsr_video.io.incoming.halt import Halt, Stopped

_POLL_SECONDS = 0.1
_HEAD = 512
"""Bytes of the beginning that are kept, to say what is wrong with it."""
_STARTS = (
    (b"nut/multimedia container\0", b"nut/multimedia container\0"),
    (b"YUV4MPEG2 ", b"YUV4MPEG2 "),
    (b"\0\0\0\x09\0\0\0\0", b"FLV\x01"),
    (b"\x42\x82\x88matroska", b"\x1a\x45\xdf\xa3"),
)
"""Of NUT, Y4M, Flash Video and Matroska: what only the beginning of a stream has, and its
very first bytes."""
_REACH = 64
"""Bytes in which the beginning of a stream can be told."""


class TimedOut(Exception):  # noqa: N818 - it is not the user's
    """Nothing came in time."""


class Pipe:
    """A pipe that can be left at any time, and knows when its bytes came.

    Streams may follow each other in one pipe: where another begins, this one ends, and what is
    read next belongs to it.

    Args: descriptor: to read from.
          on_silence: called about ten times a second while nothing comes, with the seconds so far.
    """

    name = "pipe"

    def __init__(
        self, descriptor: int, halt: Halt, *, on_silence: Callable[[float], None] = lambda _: None
    ) -> None:
        self._descriptor, self._halt, self._on_silence = descriptor, halt, on_silence
        self.on_data: Callable[[float], None] = lambda _: None
        """Called after bytes came, with the seconds they were waited for; may raise."""
        self._pushed, self._tail = b"", b""
        self._start: tuple[bytes, bytes] | None = None
        self._ended = False
        self._gave_up: float | None = None
        """The deadline that has passed, and was told of."""
        self.at = time.monotonic()
        """When the last bytes came."""
        self.total = 0
        """Bytes of the present stream that were read."""
        self.head = b""
        """Its first bytes."""
        self.exhausted = False
        """The other side has closed."""

    @property
    def more(self) -> bool:
        """Whether another stream begins where this one ended."""
        return bool(self._pushed)

    def next_stream(self) -> None:
        """Begin to read the stream that follows."""
        self._start, self._tail, self.total, self.head = None, b"", 0, b""
        self._ended = False

    def read(self, size: int) -> bytes:
        """What is there, up to so many bytes; none at the end of the stream.

        Raises: Stopped, TimedOut: as the halt says.
        """
        if self._ended:
            return b""
        if self._pushed:
            data, self._pushed = self._pushed[:size], self._pushed[size:]
        else:
            if self._gave_up == self._halt.deadline:
                return b""  # FFmpeg may ask again before it hears of the first exception.
            waited = self._wait_or_give_up()
            data = os.read(self._descriptor, size)
            self.at = time.monotonic()
            self.exhausted = not data
            self.on_data(waited)
        if len(self.head) < _HEAD:
            self.head += data[: _HEAD - len(self.head)]
            self._start = next((s for s in _STARTS if self.head.startswith(s[1])), None)
        data = self._until_next(data) if self._start else data
        self.total += len(data)
        return data

    def _wait_or_give_up(self) -> float:
        try:
            return self._wait()
        except (Stopped, TimedOut):
            self._gave_up = self._halt.deadline
            raise

    def _wait(self) -> float:
        """Wait for bytes or the end; seconds that it took."""
        began = time.monotonic()
        while not self._ready():
            self._halt.check()
            if self._halt.due:  # Or a signal wants it.
                raise TimedOut
            self._on_silence(time.monotonic() - began)
        self._halt.check()
        return time.monotonic() - began

    def _ready(self) -> bool:
        if sys.platform == "win32":  # There only sockets can be waited for.
            return True
        seconds = min(_POLL_SECONDS, max(self._halt.deadline - time.monotonic(), 0))
        seconds = _POLL_SECONDS if math.isinf(seconds) else seconds
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def _until_next(self, data: bytes) -> bytes:
        """What lies before the beginning of another stream; the rest is kept for it."""
        assert self._start is not None
        mark, first = self._start
        whole, before = self._tail + data, len(self._tail)
        own = max(0, _REACH - (self.total - before))
        place = whole.find(mark, own)
        if place >= 0 and first != mark:
            place = whole.rfind(first, max(0, place - _REACH), place)
        self._tail = whole[-_REACH:]
        if place < 0:
            return data
        self._pushed, self._ended = whole[place:] + self._pushed, True
        return whole[before : max(place, before)]
