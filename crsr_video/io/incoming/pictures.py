"""Frames on the run's clock, decoded from the packets of one connection after another."""

import os
import time
from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction

from av.codec.context import Flags
from av.error import FFmpegError
from av.video.frame import VideoFrame

from crsr_video.io import limits, pyav
from crsr_video.io.framer import Framer
from crsr_video.io.incoming.address import Kind
from crsr_video.io.incoming.connection import Connection, Context
from crsr_video.io.incoming.timeline import Timeline, common_base
from crsr_video.io.pyav import Packet
from crsr_video.types import Frame

Form = tuple[int, int, str]
"""Width, height and pixel format."""

_THREADS = 4
"""More do not help where they share one picture."""


class Pictures:
    """Decodes; to be given every connection in turn."""

    def __init__(self, context: Context) -> None:
        self._context, self._live = context, context.target.live
        self._timeline: Timeline | None = None
        self._framer: Framer | None = None
        self._form: Form | None = None

    def of(self, connection: Connection) -> Generator[tuple[Frame | Packet, float]]:
        """Frames, and the packets of other streams, each with the time of its arrival.

        A frame has the size and form that it was sent in: those may change at any time.
        """
        self._prepare(connection)
        timeline = self._begin(connection)
        index, at = connection.video.index, time.monotonic()
        for packet, at in connection.packets():
            mine = packet.stream_index == index
            if not (mine and connection.clockless):
                timeline.move(packet, at)
            if mine:
                for picture in self._decode(connection, packet):
                    yield self._frame(connection, picture, at), at
            elif packet.size:
                yield packet, at
        for picture in self._decode(connection, None):
            yield self._frame(connection, picture, at), at

    def _prepare(self, connection: Connection) -> None:
        """Decode without delay: threads may share a picture, but not work ahead."""
        context = connection.video.codec_context
        context.thread_type = "SLICE" if self._live else "AUTO"
        count = min(os.cpu_count() or 1, _THREADS)
        context.thread_count = limits.threads_for(count, context.width, context.height)
        context.options = limits.stream_options()
        if self._live and not context.has_b_frames:
            context.flags |= Flags.low_delay

    def _begin(self, connection: Connection) -> Timeline:
        self._framer = None
        if self._timeline is None:
            kind = self._context.target.kind
            self._timeline = Timeline(
                common_base(connection.video.time_base or Fraction(0)),
                live=kind is not Kind.FILE,
                leaps=kind in (Kind.NETWORK, Kind.DEVICE),
            )
        else:
            self._timeline.restart()
        return self._timeline

    def _decode(self, connection: Connection, packet: Packet | None) -> list[VideoFrame]:
        counts = self._context.counts
        self._context.show("decoding")
        try:
            pictures = connection.video.codec_context.decode(packet)
        except EOFError:
            return []
        except FFmpegError:
            counts.damaged_packets += 1
            self._context.tell_damage()
            return []
        for picture in pictures:
            connection.pictures += 1
            connection.picture_at = time.monotonic()
            if picture.is_corrupt:
                counts.damaged_frames += 1
                self._context.tell_damage()
        return pictures

    def _frame(self, connection: Connection, picture: VideoFrame, at: float) -> Frame:
        """Give a picture its form, and its time on the run's clock."""
        assert self._timeline is not None
        form = (picture.width, picture.height, pyav.nearest_native(picture.format.name))
        if self._framer is None or form != self._form:
            self._form = form
            self._framer = Framer(
                connection.video, begin=None, shift=Fraction(0), form=form, note=lambda _: None
            )
        timeless = connection.clockless or (picture.pts is None and picture.dts is None)
        frame = self._framer.frame(picture)
        assert frame is not None  # There is no window.
        pts = self._timeline.stamp(None if timeless else frame.pts * frame.time_base, at)
        frame.native.pts, frame.native.time_base = pts, self._timeline.base
        self._context.counts.frames += 1
        return replace(frame, pts=pts, time_base=self._timeline.base)
