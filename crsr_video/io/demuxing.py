"""Reads the packets of a recorded source in order, and detects whether the source was cut off."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.stream import AttachmentStream

from crsr_video.io import pyav
from crsr_video.io.damage import (
    end_of_parts,
    ends_early,
    points_past_end,
    video_ends_early,
)
from crsr_video.io.packet_clocks import JUMPING_FORMATS, RecordingClocks
from crsr_video.io.pyav import Packet
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.io.sources.opening import PROBE_BYTES, open_container, packets_of
from crsr_video.io.windows import Window, time_of

_MOST_FAILURES = 3
"""Number of consecutive errors after which reading stops."""

_LONGEST_SUBTITLE_SECONDS = 30
"""How long before the part that is read a subtitle may begin that still lasts into it."""


class Demuxer:
    """Reads the packets of a connection once.

    Args:
        connection: The opened source.
        note: Called with each notice for the user.
        lose: Called with each notice about content that is left out. Defaults to `note`.
    """

    def __init__(
        self,
        connection: SourceConnection,
        note: Callable[[str], None],
        lose: Callable[[str], None] | None = None,
    ) -> None:
        self._connection, self._note, self._lose = connection, note, lose or note
        self.is_truncated = False
        """Whether the source ends too early or is damaged."""
        self._reached: Fraction | None = None
        self._video_reached: Fraction | None = None
        self._empty_pictures = 0
        self._read_to = 0
        self._ends_corrupt = False
        jumps = connection.format_name in JUMPING_FORMATS
        self._clocks = RecordingClocks() if jumps else None
        self._packets: Iterable[Packet] = self._demuxed()
        self.first_packets: dict[int, bytes] | None = None
        """First packet of each stream other than the video, by stream index.

        Streams that begin too late in the source are missing. The value is None if the source is
        not a pipe, because other sources can be opened a second time."""
        if connection.input_pipe is not None:
            self.first_packets = self._read_ahead()

    def __iter__(self) -> Iterator[Packet]:
        """Yield the packets of all streams."""
        return iter(self._packets)

    def _read_ahead(self) -> dict[int, bytes]:
        """Return the first packets of the streams of a pipe, other than the video.

        Packets that are read ahead here are yielded later by the iteration.
        """
        streams, video = self._connection.container.streams, self._connection.video
        silent = {s.index for s in streams if isinstance(s, AttachmentStream)}
        wanted = {s.index for s in streams} - {video.index} - silent
        packets, held = self._demuxed(), deque[Packet]()
        found: dict[int, bytes] = {}
        size = 0
        while found.keys() < wanted and size < PROBE_BYTES:
            packet = next(packets, None)
            if packet is None:
                break
            held.append(packet)
            size += packet.size
            if packet.stream_index in wanted:
                found.setdefault(packet.stream_index, bytes(packet))
        self._packets = _held_first(held, packets)
        return found

    def _demuxed(self) -> Iterator[Packet]:
        for packet in self._connection.packets(self._skip_damage, _MOST_FAILURES):
            if self._clocks is not None:
                self._clocks.move(packet)
            self._follow(packet)
            if packet.size:
                yield packet
        if self._connection.input_pipe is not None:
            self._connection.input_pipe.check()

    def _skip_damage(self, error: Exception) -> None:
        self._note(f"the file is damaged: {pyav.reason(error)}")
        self.is_truncated = True

    def _follow(self, packet: Packet) -> None:
        """Record how far the source has been read."""
        time = time_of(packet)
        if time is not None:
            end = time + (packet.duration or 0) * packet.time_base
            self._reached = end if self._reached is None else max(self._reached, end)
            if packet.stream_index == self._connection.video.index:
                self._video_reached = max(end, self._video_reached or end)
                self._empty_pictures += packet.size == 0
        self._read_to = (packet.pos or 0) + packet.size
        self._ends_corrupt = bool(packet.is_corrupt)

    def check_end(self, *, is_whole: bool) -> None:
        """Check whether the source was cut off, and notify the user. FFmpeg does not report this.

        Args:
            is_whole: Whether the source should have been read to its end.
        """
        if self._clocks is not None and self._connection.has_unknown_streams:
            self._lose("a stream that begins in the middle of the file is left out")
        if self._clocks is not None and self._clocks.restarts:
            self._note("the clock starts again, as in joined recordings: timestamps continue")
        if self._clocks is not None and (count := self._clocks.leaps):
            places = "one place" if count == 1 else f"{count} places"
            self._note(f"the clock leaps ahead at {places}: the gap is closed")
        if self._ends_corrupt or points_past_end(self._connection, self._read_to):
            self.is_truncated = True
        if is_whole and (
            ends_early(self._connection, self._reached)
            or video_ends_early(self._connection, self._video_reached)
        ):
            self.is_truncated = True
        if count := self._empty_pictures:
            pictures = "1 picture" if count == 1 else f"{count} pictures"
            self._note(f"left out {pictures} without data: the one before is shown longer")
        end, size = end_of_parts(self._connection), self._connection.size
        if is_whole and end is not None and end != size:
            self.is_truncated = True
        if is_whole and end is not None and end < size:
            self._note(f"the file is damaged at byte {end}")
            return
        if self.is_truncated:
            self._note("the file ends before it should")


def earlier_subtitles(path: Path, window: Window) -> Iterator[Packet]:
    """Yield packets of subtitles that begin before a window and last into it.

    The file is opened again, because a reader begins at the last keyframe before its window.
    """
    begin = window.begin
    if begin is None:
        return
    with open_container(path) as container, suppress(FFmpegError):
        if not container.streams.subtitles or container.format.name in JUMPING_FORMATS:
            return
        container.seek(max(0, int((begin - _LONGEST_SUBTITLE_SECONDS) * 1_000_000)))
        for packet in packets_of(container):
            time, kind = time_of(packet), packet.stream.type
            if kind == "subtitle" and window.lasts_into(packet):
                yield packet
            elif kind == "video" and time is not None and time >= begin:
                return


def position_at(path: Path, time: Fraction) -> int | None:
    """Return the position in a file, in bytes, at which the packets of a time in seconds begin.

    All packets up to that time are read, but not decoded. Seeking is not used: if the clock starts
    again, several places have the same time, and seeking may find any of them.

    Returns:
        The position, or None if the clock changes before that time is reached.
    """
    clocks, position = RecordingClocks(), 0
    with open_container(path) as container, suppress(FFmpegError):
        for packet in packets_of(container):
            clocks.move(packet)
            due = time_of(packet)
            position = max(position, packet.pos or 0)
            if not clocks.is_steady or (due is not None and due >= time):
                break
    return position if clocks.is_steady else None


def _held_first(held: deque[Packet], packets: Iterator[Packet]) -> Iterator[Packet]:
    while held:
        yield held.popleft()
    yield from packets
