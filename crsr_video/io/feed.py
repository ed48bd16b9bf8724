"""Data between a live reader and a writer: items with the time of their arrival."""

import io
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.error import FFmpegError
from av.stream import Stream

from crsr_video.io.picture_times import frame_rate
from crsr_video.io.pyav import Passthrough
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.types import Frame, VideoInfo

_COPIED = ("audio", "subtitle", "data")


@dataclass(frozen=True, slots=True)
class Feed:
    """The properties of a connected live source that a writer needs.

    A new feed is sent after every reconnection and every change of the picture's form. Timestamps
    keep growing from one feed to the next.
    """

    info: VideoInfo
    first: Frame
    """The first frame, which shows the actual pixel format, colour and rotation. It is also sent as
    an `Arrival`."""
    others: tuple[Stream, ...] = ()
    """Streams that a writer may copy; `Passthrough.stream` is their `index`."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An item of a live source, with the time of its arrival."""

    item: Frame | Passthrough | Feed
    at: float
    """`time.monotonic` when the last of its bytes was read."""


def describe_feed(connection: SourceConnection, first: Frame, *, has_rate: bool) -> Feed:
    """Return the feed of a connection.

    Args:
        connection: The opened source.
        first: Its first frame.
        has_rate: Whether the source states a frame rate that can be trusted.
    """
    video = connection.video
    # FFmpeg's own guess comes last, because it may count fields instead of frames.
    average = frame_rate(video) if video.average_rate else None
    rate = average or video.codec_context.framerate or video.guessed_rate
    info = replace(
        connection.describe(first),
        rate=rate if has_rate else None,
        time_base=first.time_base,
        frames=0,
        seconds=0.0,
    )
    return Feed(info, first, _copied_streams(connection))


def _copied_streams(connection: SourceConnection) -> tuple[Stream, ...]:
    """Return copies of the streams that a writer may carry over, with their indices.

    A stream dies with its container, which may be closed before a writer is done with it. These
    copies belong to an output that is never written.
    """
    output = av.open(io.BytesIO(), "w", format="null")
    found = []
    for stream in connection.container.streams:
        copy: Stream
        try:
            copy = output.add_stream_from_template(stream, opaque=True)
        except (FFmpegError, ValueError):
            output.add_data_stream()  # A placeholder, so that later streams keep their indices.
            continue
        copy.metadata.update(stream.metadata)
        copy.time_base = stream.time_base or Fraction(1, 1000)
        if stream.index != connection.video.index and stream.type in _COPIED:
            found.append(copy)
    return tuple(found)
