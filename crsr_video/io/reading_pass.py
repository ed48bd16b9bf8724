"""One pass over a recorded source: it yields frames, and the packets of other streams."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction

from av.stream import Disposition

from crsr_video.io.decoding import VideoDecoder
from crsr_video.io.demuxing import Demuxer
from crsr_video.io.picture_times import PictureTimes
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.io.windows import Window, time_of
from crsr_video.types import Frame


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
