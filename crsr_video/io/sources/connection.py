"""An open source: its container, its video stream, and its packets, even if some are damaged."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction

from av.codec import CodecContext
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from crsr_video.closing import Closing
from crsr_video.files import open_regular
from crsr_video.io import limits, pipes
from crsr_video.io.container_facts import FileFacts, read_facts
from crsr_video.io.packet_clocks import is_arbitrary_start
from crsr_video.io.picture_times import frame_rate
from crsr_video.io.pyav import Packet
from crsr_video.io.sources.opening import (
    PROBE_BYTES,
    has_unknown_streams,
    main_video,
    open_target,
    packets_of,
)
from crsr_video.io.sources.targets import SourceKind, Target
from crsr_video.types import Frame, VideoInfo

_HEAD_BYTES, _TAIL_BYTES = 256, 12
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders by codec that also return transparency, which FFmpeg's own decoders leave out."""
_LONGEST_SECONDS = 24 * 3600
"""Longest plausible duration of a packet. A longer one is removed."""
_LATEST_TICKS = 1 << 61
"""Latest plausible timestamp. A later one could overflow 64 bits in calculations."""


class SourceConnection(Closing):
    """An open source, with its container, video stream and decoder.

    Args:
        target: The source.
        input_pipe: The pipe that the source is read from, if any. It is not closed.
        hwaccel: Hardware decoding, as in `ReadSettings`.
        timeout: As for `open_target`.
        waits_for_facts: Whether a pipe is read ahead for facts about its container that PyAV does
            not provide. This may take a while.
    """

    def __init__(
        self,
        target: Target,
        input_pipe: pipes.InputPipe | None = None,
        *,
        hwaccel: str = "none",
        timeout: tuple[float, float | None] = (limits.OPENING_SECONDS, None),
        waits_for_facts: bool = True,
    ) -> None:
        self.target, self.input_pipe = target, input_pipe
        facts = self._read_facts(waits_for_facts)
        self.container = open_target(target, input_pipe, hwaccel=hwaccel, timeout=timeout)
        try:
            self.video = main_video(self.container, target.name)
        except BaseException:
            self.container.close()
            raise
        self.decoder = _decoder_for(self.video)
        """The decoder of the video, which is not always the decoder that PyAV chose."""
        self.facts = facts.of_track(self.video.index)
        """Properties of the pictures that the file states and PyAV does not pass on."""
        self.time_base = self.video.time_base or Fraction(1, 1000)
        """Seconds per tick of the video stream."""
        self.gave_up = False
        """Whether reading has ended because of too many errors in a row."""

    def _read_facts(self, waits: bool) -> FileFacts:
        """Return the metadata of a file or a pipe. Bytes of a pipe are not consumed."""
        if self.input_pipe is not None and waits:
            return read_facts(pipes.PipeWindow(self.input_pipe, PROBE_BYTES))
        with suppress(OSError, ValueError):
            if self.target.kind is SourceKind.FILE:
                with open_regular(self.target.path, follow_links=True) as file:
                    return read_facts(file)
        return FileFacts()

    def close(self) -> None:
        """Close the container."""
        self.container.close()

    @property
    def format_name(self) -> str:
        """FFmpeg's name of the container."""
        return self.container.format.name

    @property
    def origin(self) -> Fraction:
        """Time at which the source begins, in seconds, according to its header."""
        return Fraction(self.container.start_time or 0, 1_000_000)

    @property
    def has_arbitrary_start(self) -> bool:
        """Whether the start time of the source is arbitrary, and unrelated to the recording."""
        return is_arbitrary_start(self.format_name, self.origin)

    def seek(self, time: Fraction) -> bool:
        """Go to a keyframe before a time in seconds. Return whether that was possible."""
        target = int(time / self.time_base)
        try:
            self.container.seek(target, stream=self.video, backward=True)
        except (FFmpegError, OverflowError):
            return False
        if self.decoder.is_open:
            self.decoder.flush_buffers()
        return True

    def packets(
        self, on_error: Callable[[Exception], None], most_failures: int
    ) -> Iterator[Packet]:
        """Yield the packets of all streams, and continue after damage.

        Args:
            on_error: Called with every error of the demuxer; it may raise to give up.
            most_failures: Number of errors in a row after which reading ends.
        """
        failures = 0
        while failures < most_failures:
            try:
                packets = packets_of(self.container)
                for packet in packets:
                    if packet.size == 0 and packet.dts is None:  # PyAV's mark of the end.
                        deque(packets, maxlen=0)  # Each stream has such a mark.
                        return
                    failures = 0
                    sanitize(packet)
                    yield packet
                return
            except FFmpegError as error:
                on_error(error)
                # A camera that has no picture yet is asked again, without counting a failure.
                is_waiting = (
                    isinstance(error, BlockingIOError) and self.target.kind is SourceKind.DEVICE
                )
                failures += not is_waiting
        self.gave_up = True

    @property
    def has_unknown_streams(self) -> bool:
        """Whether streams have come that were not known when the source was opened."""
        return has_unknown_streams(self.container)

    @property
    def size(self) -> int:
        """Bytes of a file, or bytes that were read from a pipe, or 0 for other sources."""
        if self.input_pipe is not None:
            return self.input_pipe.received
        return self.target.path.stat().st_size if self.target.kind is SourceKind.FILE else 0

    def ends(self) -> tuple[bytes, bytes]:
        """Return the first and the last bytes of a file, or of a pipe that was read to its end."""
        if self.input_pipe is not None:
            return self.input_pipe.head, self.input_pipe.tail
        if self.target.kind is not SourceKind.FILE:
            return b"", b""
        with self.target.path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(max(0, self.size - _TAIL_BYTES))
            return head, file.read(_TAIL_BYTES)

    def describe(self, first: Frame) -> VideoInfo:
        """Return what is known about the source after its first frame has been decoded."""
        video, micro = self.video, self.container.duration
        seconds = Fraction(micro, 1_000_000) if micro else (video.duration or 0) * self.time_base
        rate = frame_rate(video)
        return VideoInfo(
            width=first.width,
            height=first.height,
            pixel_format=first.layout.name,
            codec=video.codec_context.name,
            container=self.format_name,
            rate=rate,
            time_base=self.time_base,
            frames=video.frames or (round(seconds * rate) if rate else 0),
            seconds=float(seconds),
            bit_rate=video.bit_rate or 0,
            metadata=dict(self.container.metadata),
        )


def sanitize(packet: Packet) -> None:
    """Remove impossible timestamps and durations. Muxers refuse them, and their sums overflow."""
    if packet.pts is not None and abs(packet.pts) > _LATEST_TICKS:
        packet.pts = None
    if packet.dts is not None and abs(packet.dts) > _LATEST_TICKS:
        packet.dts = None
    length = packet.duration or 0
    if not 0 <= length < 1 << 31 or length * (packet.time_base or 0) > _LONGEST_SECONDS:
        packet.duration = 0


def has_separate_alpha(video: VideoStream) -> bool:
    """Return whether Matroska says that the packets of a video hold its transparency too."""
    tags = {name.lower(): value for name, value in video.metadata.items()}
    return tags.get("alpha_mode") == "1"


def _decoder_for(video: VideoStream) -> VideoCodecContext:
    name = _ALPHA_DECODERS.get(video.codec_context.name)
    if name is None or not has_separate_alpha(video):
        return video.codec_context
    try:
        decoder = CodecContext.create(name, "r")
    except (FFmpegError, ValueError):  # This FFmpeg was built without this decoder.
        return video.codec_context
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = video.codec_context.extradata
    return decoder
