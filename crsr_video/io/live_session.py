"""Decodes one connection to a live source. The frames of all connections share one clock."""

from collections.abc import Callable, Iterator

from crsr_video.config import ReadSettings
from crsr_video.errors import NoVideoError
from crsr_video.io.decoding import VideoDecoder
from crsr_video.io.packet_clocks import Timeline
from crsr_video.io.picture_times import PictureTimes
from crsr_video.io.pyav import Packet
from crsr_video.io.source import Source, describe_live
from crsr_video.io.sources.background import BackgroundConnection, ConnectionLost
from crsr_video.io.sources.targets import Target, is_clockless
from crsr_video.types import Frame


class SenderGone(ConnectionLost):
    """The sender has stopped. The receiver cannot tell whether it will come back."""


class LiveSession:
    """Yields the frames and packets of one connection.

    Frames keep the size and pixel format in which they were sent, which may change at any time.

    Args:
        connection: The opened source.
        target: The target that was opened.
        settings: How the target is read.
        timeline: The clock of the whole run, already prepared for this connection.
        count: Called with the names of fields of `LiveCounts` as keywords. Each value is added to
            its field.
        report: Called with each notice for the user.
    """

    def __init__(
        self,
        connection: BackgroundConnection,
        target: Target,
        settings: ReadSettings,
        timeline: Timeline,
        count: Callable[..., None],
        report: Callable[[str], None],
    ) -> None:
        self._background, self._opened = connection, connection.connection
        self._target, self._settings = target, settings
        self._timeline, self._count, self._report = timeline, count, report
        self._decoder = VideoDecoder(self._opened, low_delay=target.is_live, follows_changes=True)
        self._times = PictureTimes(self._opened.video)
        self._is_clockless = is_clockless(target, self._opened.format_name, settings)
        self._is_raw = self._opened.format_name == "rawvideo"
        self._cut_off_bytes = 0
        self._read_to = 0

    def items(self) -> Iterator[tuple[Frame | Packet, float]]:
        """Yield frames and the packets of other streams, each with its time of arrival."""
        index, at = self._opened.video.index, 0.0
        for packet, at in self._background.packets():
            self._count(packets=1)
            is_video = packet.stream_index == index
            if not (is_video and self._is_clockless):
                self._timeline.move(packet, at)
            if not is_video:
                yield packet, at
            elif self._is_raw and packet.is_corrupt:
                self._cut_off_bytes = packet.size
            else:
                self._read_to = (packet.pos or 0) + packet.size
                yield from self._decoded(packet, at)
        yield from self._decoded(None, at)

    def _decoded(self, packet: Packet | None, at: float) -> Iterator[tuple[Frame, float]]:
        failed = self._decoder.failed
        pictures = self._decoder.decode(packet)
        if self._decoder.failed > failed:
            self._count(damaged_packets=self._decoder.failed - failed)
        for picture in pictures:
            self._background.picture_decoded()
            if picture.is_corrupt:
                self._count(damaged_frames=1)
            has_time = not (picture.pts is None and picture.dts is None)
            ticks = self._times.stamp(picture)
            is_timed = has_time and not self._is_clockless
            seconds = ticks * self._opened.time_base if is_timed else None
            pts = self._timeline.stamp(seconds, at)
            self._count(frames=1)
            yield self._decoder.frame(picture, pts, self._timeline.time_base), at

    def describe(self, first: Frame) -> Source:
        """Return the properties of the connection that a writer needs, given its first frame."""
        return describe_live(self._opened, first, has_rate=not self._is_clockless)

    def check_end(self) -> None:
        """Check, after the last packet, that the source has really ended.

        Raises:
            SenderGone: The sender may come back.
            ConnectionLost: The program that receives the source has failed.
            NoVideoError: No picture could be decoded.
        """
        if why := self._background.relay_failure():
            raise ConnectionLost(f"broke off: {why}")
        container, name = self._opened.format_name, self._target.name
        is_live_rtsp = container == "rtsp" and not self._opened.container.duration
        if not self._background.has_pictures:
            if self._cut_off_bytes:
                raise NoVideoError(f"{name}: its {self._cut_off_bytes} bytes do not fill a frame")
            raise NoVideoError(f"{name}: no picture could be decoded")
        if self._target.is_relayed or is_live_rtsp:
            raise SenderGone("the sender has gone")
        if container == "yuv4mpegpipe":
            self._cut_off_bytes = self._opened.size - self._read_to
        # This is only a notice, because stopping a sender usually cuts off its last frame.
        if self._cut_off_bytes > 0 and not self._settings.loop:
            self._report(f"the last frame is cut off: its {self._cut_off_bytes} bytes are left out")
