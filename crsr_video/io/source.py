"""Properties of an opened source that a writer needs."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.stream import VideoStream

from crsr_video.errors import InputError
from crsr_video.io import pipes
from crsr_video.io.container_facts import ContainerFacts
from crsr_video.io.pyav import Packet
from crsr_video.io.sources.opening import PROBE_BYTES, open_container, packets_of
from crsr_video.types import Frame, VideoInfo


@dataclass(frozen=True, slots=True)
class Source:
    """An opened source, with everything that a writer carries over."""

    path: Path
    container: InputContainer
    video: VideoStream
    """The stream that is decoded."""
    info: VideoInfo
    first: Frame
    """The first frame, which has the actual pixel format, colour and rotation."""
    covers: Mapping[int, Packet] = field(default_factory=dict)
    """Cover pictures by stream index. Some containers need them before the first frame."""
    shift: Fraction = Fraction(0)
    """Seconds that were subtracted from all timestamps."""
    end: Fraction | None = None
    """Time on the source's own clock, in seconds, at which reading stops. Defaults to the end."""
    earliest: Fraction = Fraction(0)
    """Earliest time, in seconds, of the first frame and of the packets before it. It is negative if
    audio begins before zero."""
    beginnings: Mapping[int, bytes] | None = None
    """First packet of every other stream that begins early enough, by index. None if the source can
    be opened a second time."""

    facts: ContainerFacts = field(default_factory=ContainerFacts)
    """Properties of the pictures that the file states, but PyAV does not expose."""

    late_templates: Mapping[int, Stream] = field(default_factory=dict)
    """Descriptions of streams that begin late, by index. They were unknown when the file was
    opened."""

    def described(self, stream: Stream) -> Stream:
        """Return the late description of a stream if there is one, or else the stream itself."""
        return self.late_templates.get(stream.index, stream)

    @property
    def is_pipe(self) -> bool:
        """Whether the source is read from standard input, and cannot be opened again."""
        return self.beginnings is not None

    @property
    def name(self) -> str:
        """Name of the source in messages."""
        return pipes.INPUT if self.is_pipe else str(self.path)


def bit_rate(source: Source) -> int:
    """Return the bit rate of the video in bits per second, or 0 if it is unknown.

    If the container does not state the bit rate, the file is read once, without decoding.
    """
    stated = source.info.bit_rate or source.video.metadata.get("BPS", "")
    if str(stated).isdigit() and int(stated) > 0:
        return int(stated)
    if source.info.seconds <= 0 or source.is_pipe:
        return 0
    with open_container(source.path) as container:
        try:
            packets = packets_of(container, container.streams[source.video.index])
            size = sum(packet.size for packet in packets)
        except FFmpegError:  # A truncated file has only some of the packets.
            return 0
    return round(8 * size / source.info.seconds)


def first_packets(source: Source) -> dict[int, bytes]:
    """Return the first packet of every stream but the video that begins early enough, by index.

    A file is opened a second time, so that reading from the first one is not disturbed.
    """
    if source.beginnings is not None:
        return dict(source.beginnings)
    wanted = {s.index for s in source.container.streams} - {source.video.index}
    found: dict[int, bytes] = {}
    if not wanted:
        return found
    size = 0
    with open_container(source.path) as container:
        try:
            for packet in packets_of(container, *(container.streams[i] for i in sorted(wanted))):
                size += packet.size
                if packet.size:
                    found.setdefault(packet.stream_index, bytes(packet))
                if found.keys() == wanted or size > PROBE_BYTES:
                    break
        except FFmpegError:
            pass  # What was found before the damage will do.
    return found


def frame_times(source: Source) -> tuple[Fraction, ...]:
    """Return the times of all frames in seconds, in ascending order, or none for a pipe.

    A file is read once, without decoding.
    """
    if source.is_pipe:
        return ()
    base, found = source.info.time_base, set[Fraction]()
    with open_container(source.path) as container:
        try:
            for packet in packets_of(container, container.streams[source.video.index]):
                if packet.size and packet.pts is not None:
                    found.add(packet.pts * base - source.shift)
        except FFmpegError:
            pass  # What was found before the damage will do.
    until = None if source.end is None else source.end - source.shift
    return tuple(sorted(t for t in found if t >= 0 and (until is None or t < until)))


def late_templates(path: Path, container: InputContainer) -> dict[int, Stream]:
    """Return descriptions of audio streams that begin after the part of a file that FFmpeg probes.

    They are found by opening the file again at a place just before the stream begins.
    """
    unknown = {s.index: s for s in container.streams.audio if not _sample_rate(s)}
    if not unknown or container.format.name not in _TABLES_MAY_FOLLOW:
        return {}
    places = dict[int, int]()
    with open_container(path) as again:
        for packet in packets_of(again, *(again.streams[index] for index in unknown)):
            if packet.size and packet.pos is not None:
                places.setdefault(packet.stream_index, packet.pos)
            if places.keys() == unknown.keys():
                break
    found = dict[int, Stream]()
    for index, place in places.items():
        # The tables that describe a stream precede its audio, at distances that differ by file.
        for distance in _BYTES_BEFORE_SOUND:
            stream = _stream_after(path, place - distance, unknown[index].id)
            if stream is not None:
                found[index] = stream
                break
    return found


def _sample_rate(stream: Stream) -> int:
    """Return the samples per second of an audio stream, or 0 if nothing can decode it."""
    return getattr(stream.codec_context, "sample_rate", 0)


_TABLES_MAY_FOLLOW = frozenset(("mpegts", "mpeg"))
"""FFmpeg's names of the containers that describe a stream anywhere before its packets."""
_BYTES_BEFORE_SOUND = (4 << 10, 32 << 10, 256 << 10, 2 << 20)


def _stream_after(path: Path, place: int, identifier: int) -> Stream | None:
    """Return an audio stream as FFmpeg describes it from a position of its file on, or None."""
    with suppress(InputError):
        container = open_container(path, skipped_bytes=max(0, place))
        for stream in container.streams.audio:
            if stream.id == identifier and _sample_rate(stream):
                return stream  # It keeps its container open.
        container.close()
    return None
