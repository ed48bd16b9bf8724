"""One pass over a recorded source: it yields frames, and the packets of other streams, in order.

The pass also detects whether the source was cut off.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.stream import AttachmentStream, Disposition

from crsr_video.io import pyav
from crsr_video.io.damage import (
    end_of_parts,
    ends_early,
    points_past_end,
    video_ends_early,
)
from crsr_video.io.decoding import VideoDecoder
from crsr_video.io.packet_clocks import JUMPING_FORMATS, RecordingClocks
from crsr_video.io.picture_times import PictureTimes
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.io.sources.opening import PROBE_BYTES, open_container, packets_of
from crsr_video.io.windows import Window, time_of
from crsr_video.types import Frame

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


@dataclass(frozen=True, slots=True)
class ReadReport:
    """Report of what was read and what was lost."""

    frames: int
    """Number of frames that were yielded."""
    concealed: int
    """Number of these frames in which the decoder concealed damage."""
    damaged: int
    """Number of packets that could not be decoded at all."""
    made_up: int
    """Number of frames whose timestamp was replaced, because it was missing or ran backwards."""
    truncated: bool
    """Whether the source ends too early or is damaged."""
    notes: tuple[str, ...]
    """Notices about conversions and losses, one line each."""
    losses: tuple[str, ...] = ()
    """The notes about content of the source that the frames and packets do not keep."""

    @property
    def is_damaged(self) -> bool:
        """Whether something of the source could not be read."""
        return self.truncated or self.concealed > 0 or self.damaged > 0


class ReadingPass:
    """One pass over a source, from its current position on."""

    def __init__(
        self,
        connection: SourceConnection,
        window: Window,
        like: Frame | None,
        threads: int,
        note: Callable[[str], None],
        lose: Callable[[str], None],
        *,
        skips_to_keyframe: bool = False,
    ) -> None:
        self._connection, self._window, self._base = connection, window, connection.time_base
        self._note = note
        self._skips_to_keyframe = skips_to_keyframe
        begin = None if window.begin is None else round(window.begin / self._base)
        self._decoder = VideoDecoder(
            connection, threads=threads, like=like, begin=begin, note=note, lose=lose
        )
        self._demuxer = Demuxer(connection, note, lose)
        self._times = PictureTimes(connection.video)
        self._earliest: Fraction | None = None
        self._first_position: int | None = None
        self._is_done = False
        self._frames = self._concealed = 0
        self.covers: dict[int, Packet] = {}
        """Cover pictures that were found so far, by stream index."""
        self.first_packets = self._demuxer.first_packets
        self.skips_video = False
        """Whether the caller wants no more frames."""

    def began_early(self, latest_position: int | None) -> bool:
        """Return whether reading has begun before the window, or at its beginning.

        Args:
            latest_position: Position in the file, in bytes, up to which reading must have begun.
                None allows any position.
        """
        earliest, begin = self._earliest, self._window.begin
        if begin is None:
            return True
        if latest_position is not None and (self._first_position or 0) > latest_position:
            return False
        return earliest is not None and earliest <= begin

    def items(self) -> Generator[Frame | Passthrough]:
        """Yield all wanted frames and packets."""
        window = self._window
        for packet in self._demuxer:
            time = time_of(packet)
            self._is_done = self._is_done or self.skips_video
            if self._is_done and window.is_finished(time):
                return
            if packet.stream_index != self._connection.video.index:
                if self._is_wanted(packet, time):
                    if packet.stream.type == "subtitle":
                        window.cut_packet(packet)
                    window.shift_packet(packet)
                    yield Passthrough(packet.stream_index, packet)
            elif self._skips_to_keyframe and not packet.is_keyframe:
                continue  # It cannot be decoded without a keyframe, although some decoders try.
            elif not self._is_done:
                if self._first_position is None:
                    self._first_position = packet.pos or 0
                self._skips_to_keyframe = False
                yield from self._decoded(packet)
        if not self._is_done:
            yield from self._decoded(None)
            if not self._is_done:
                self._decoder.finish()
        self._decoder.report_damage()
        if self._times.were_decoding_times:
            self._note("the timestamps are those of decoding: frames are shown in even steps")
        elif moved := self._times.moved:
            frames = "1 frame" if moved == 1 else f"{moved} frames"
            self._note(f"timestamps of {frames} contradicted their neighbours and were corrected")
        self._demuxer.check_end(is_whole=window.end is None)

    def _decoded(self, packet: Packet | None) -> Iterator[Frame]:
        window, base = self._window, self._base
        if packet is not None:
            self._times.packet_sent(packet)
        pictures = self._decoder.decode(packet)
        for picture in self._times.without_outliers(pictures, is_end=packet is None):
            if self._is_done:
                continue
            pts = self._times.stamp(picture)
            if window.is_after(pts * base):
                self._is_done = True
                continue
            self._earliest = pts * base if self._earliest is None else self._earliest
            if window.is_before(pts * base):
                continue
            self._frames += 1
            self._concealed += bool(picture.is_corrupt)
            yield self._decoder.frame(picture, pts - int(window.shift / base), base)

    def _is_wanted(self, packet: Packet, time: Fraction | None) -> bool:
        """Return whether to yield a packet of another stream. Cover pictures go to `covers`."""
        stream = self._connection.container.streams[packet.stream_index]
        if stream.disposition & Disposition.attached_pic:
            self.covers[packet.stream_index] = packet
            return False
        is_cut = self._connection.input_pipe is not None and stream.type == "subtitle"
        return self._window.contains(time) or (is_cut and self._window.lasts_into(packet))

    def report(self, notes: tuple[str, ...], losses: tuple[str, ...]) -> ReadReport:
        """Return what was read so far."""
        return ReadReport(
            self._frames,
            self._concealed + self._decoder.silently_concealed,
            self._decoder.damaged,
            self._times.made_up,
            self._demuxer.is_truncated,
            notes,
            losses,
        )

    def why_nothing(self) -> str:
        """Explain why there is no frame."""
        input_pipe, container = self._connection.input_pipe, self._connection.format_name
        if input_pipe is not None:
            input_pipe.check()
            if container == "rawvideo":
                return f"its {input_pipe.received} bytes do not fill one frame of that size"
            if container.startswith("mov") and not self._frames:
                return (
                    "no picture could be decoded: MP4 goes through a pipe only with its index in"
                    " front (-movflags +faststart); give the file's name, or use NUT"
                )
        begin = self._window.begin
        seconds = (self._connection.container.duration or 0) / 1e6
        if begin and 0 < seconds < begin:
            return f"is only {seconds:.1f} s long and cannot be read from {float(begin):.1f} s on"
        where = f" after {float(begin):g} s" if begin and self._earliest is not None else ""
        return f"no picture could be decoded{where}"
