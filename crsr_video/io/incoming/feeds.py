"""What a sink needs to know of a connection, and keeps when that has ended."""

import io
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import av
from av.error import FFmpegError
from av.stream import Stream
from av.video.stream import VideoStream

from crsr_video.io.feed import Arrival, Feed
from crsr_video.io.incoming.connection import Connection
from crsr_video.types import Frame, VideoInfo

MAX_HELD = 64 << 20
"""Bytes of other streams' packets kept while waiting for the first picture."""
_COPIED = ("audio", "subtitle", "data")


def feed_of(connection: Connection, first: Frame) -> Feed:
    """Describe a connection by its first frame."""
    video, container = connection.video, connection.container
    info = VideoInfo(
        width=first.width,
        height=first.height,
        pixel_format=first.layout.name,
        codec=video.codec_context.name,
        container=container.format.name,
        rate=None if connection.clockless else _rate(video),
        time_base=first.time_base,
        frames=0,
        seconds=0.0,
        bit_rate=video.bit_rate or 0,
        metadata=dict(container.metadata),
    )
    return Feed(info, first, others_of(connection))


def others_of(connection: Connection) -> tuple[Stream, ...]:
    """Streams that can be copied, with their indices.

    A stream dies with its container, which is closed before a sink may be done with it. These
    belong to an output that is never written.
    """
    twins = av.open(io.BytesIO(), "w", format="null")
    found = []
    for stream in connection.container.streams:
        twin: Stream
        try:
            twin = twins.add_stream_from_template(stream, opaque=True)
        except (FFmpegError, ValueError):  # Keeps the place.
            twin = twins.add_data_stream()
            continue
        twin.metadata.update(stream.metadata)
        twin.time_base = stream.time_base or Fraction(1, 1000)
        if stream.index != connection.video.index and stream.type in _COPIED:
            found.append(twin)
    return tuple(found)


def _rate(video: VideoStream) -> Fraction | None:
    """Frames a second, where somebody says so; what FFmpeg guesses may count fields."""
    return video.average_rate or video.codec_context.framerate or video.guessed_rate


class Held:
    """Sound and the like that comes before the first picture: the latest `MAX_HELD` bytes."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[Arrival, int]] = deque()
        self._size = 0

    def add(self, arrival: Arrival, size: int) -> None:
        """Keep one, of so many bytes; the oldest may have to go."""
        self._arrivals.append((arrival, size))
        self._size += size
        while self._size > MAX_HELD:
            self._size -= self._arrivals.popleft()[1]

    def take(self) -> Iterator[Arrival]:
        """Give them all out, in order."""
        while self._arrivals:
            yield self._arrivals.popleft()[0]
