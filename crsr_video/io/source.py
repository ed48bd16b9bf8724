"""Properties of an opened source that a writer needs, and samples of its pictures."""

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from crsr_video.config import ReadSettings
from crsr_video.errors import CrsrError, InputError
from crsr_video.io import picture_properties, pipes
from crsr_video.io.container_facts import ContainerFacts
from crsr_video.io.picture_times import frame_rate
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.io.sources.opening import PROBE_BYTES, open_container, packets_of
from crsr_video.io.sources.targets import recorded_target
from crsr_video.types import FieldOrder, Frame, VideoInfo

_COPIED = ("audio", "subtitle", "data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The properties of an opened source that every writer needs.

    A live reader makes a new one after every reconnection and every change of the picture's form.
    Timestamps keep growing from one to the next.
    """

    info: VideoInfo
    first: Frame
    """The first frame, which shows the actual pixel format, colour and rotation."""
    others: tuple[Stream, ...] = ()
    """Streams besides the video; `Passthrough.stream` is their `index`."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An item of a live source, with the time of its arrival."""

    item: Frame | Passthrough | Source
    """A frame, a packet, or a new description of the source, before its first frame."""
    at: float
    """`time.monotonic` when the last of its bytes was read."""


def describe_live(connection: SourceConnection, first: Frame, *, has_rate: bool) -> Source:
    """Return the properties of a connection to a live source.

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
    return Source(info=info, first=first, others=_copied_streams(connection))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSource(Source):
    """An opened recording, with everything else that its writer carries over."""

    path: Path
    container: InputContainer
    video: VideoStream
    """The stream that is decoded."""
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


def bit_rate(source: RecordedSource) -> int:
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


def first_packets(source: RecordedSource) -> dict[int, bytes]:
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


def frame_times(source: RecordedSource) -> tuple[Fraction, ...]:
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


_PLACES = 12
"""Number of places at which a picture is examined, evenly spread over the file."""
_MOST_PACKETS = 300
"""Maximum number of video packets that are read at each place to find a keyframe."""


def field_order(source: RecordedSource) -> FieldOrder:
    """Return the field order of the first frame, or of a later one if only that has fields.

    An encoder must know about fields before its first picture. A file may be joined from
    progressive and interlaced parts, so some pictures in its middle are examined. The file is
    opened again for that, which is impossible for standard input.
    """
    if source.first.interlaced != "progressive" or source.is_pipe:
        return source.first.interlaced
    target = recorded_target(source.path, ReadSettings())
    with suppress(CrsrError, FFmpegError), SourceConnection(target) as connection:
        micro = connection.container.duration or 0
        begin = connection.container.start_time or 0
        examined: set[int] = set()
        for place in range(1, _PLACES + 1):
            with suppress(FFmpegError):
                connection.container.seek(begin + micro * place // (_PLACES + 1))
                picture = _next_picture(connection, examined)
                if picture is not None and picture.interlaced_frame:
                    return picture_properties.field_order(picture)
    return "progressive"


def _next_picture(connection: SourceConnection, examined: set[int]) -> VideoFrame | None:
    """Return the picture of the next keyframe, or None if it was examined already."""
    context, count = connection.video.codec_context, 0
    context.flush_buffers()
    for packet in connection.packets(lambda _error: None, 1):
        if packet.stream_index != connection.video.index:
            continue
        count += 1
        if count > _MOST_PACKETS:
            return None
        if packet.is_keyframe:
            if packet.pos in examined:  # In a short file, several places have the same keyframe.
                return None
            if packet.pos is not None:
                examined.add(packet.pos)
            return _decoded(connection, packet)
    return None


def _decoded(connection: SourceConnection, packet: Packet) -> VideoFrame | None:
    context = connection.video.codec_context
    pictures = context.decode(packet) or context.decode(None)
    return pictures[0] if pictures else None
