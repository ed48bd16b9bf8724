"""Detection of video files that were cut off, which FFmpeg reads without an error."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError

from crsr_video.config import ReadSettings
from crsr_video.errors import InputError
from crsr_video.files import open_regular
from crsr_video.io import matroska, mp4_boxes
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.io.sources.opening import open_container, packets_of
from crsr_video.io.sources.targets import recorded_target

_DECLARED = frozenset(("mov", "matroska", "avi", "asf", "flv", "mxf", "nut"))
"""Containers whose header states the duration; for others, FFmpeg derives it from the data."""
_HEAD_BYTES = 256
_SHORTEST_INDEX = 20
"""Minimum bytes of a NUT index, which ends with its own length in eight bytes, and a checksum."""
_SLACK_SECONDS, _SLACK_SHARE = Fraction(2), Fraction(1, 50)
"""Differences of durations to allow, in seconds and as a share of the longer one. The larger of the
two counts. Durations differ because audio may end later."""


def points_past_end(connection: SourceConnection, read_to: int | None = None) -> bool:
    """Return whether a source refers to data beyond its own end, or ends within a picture.

    MP4's index, and AVI's or Matroska's outermost chunk, state where the file ends. A Y4M file does
    not state this, but may end in the middle of a picture. NUT files that FFmpeg wrote end with an
    index, even in a pipe.

    Args:
        connection: The source; a pipe must have been read to its end.
        read_to: Position where the last packet ends that could be read. Defaults to the end.
    """
    (head, tail), size = connection.ends(), connection.size
    container = connection.container.format.name.split(",")[0]
    if container == "mov" and len(entries := connection.video.index_entries):
        last = entries[len(entries) - 1]
        return last.pos + last.size > size
    if container == "avi":
        claimed = int.from_bytes(head[4:8], "little")
        return size < claimed + 8 and claimed != 0xFFFFFFFF  # All ones mean unknown.
    if container == "matroska":
        return size < _matroska_end(head[:_HEAD_BYTES])
    metadata = connection.container.metadata
    if container == "mpegts":
        return _ends_within_packet(head, size)
    if container == "nut" and metadata.get("encoder", "").startswith("Lavf"):
        return not _SHORTEST_INDEX <= int.from_bytes(tail[:8]) <= min(size, 1 << 32)
    return container == "yuv4mpegpipe" and read_to is not None and read_to < size


def _matroska_end(head: bytes) -> int:
    """Return where the outermost element of a Matroska file ends, or 0 if this is unknown."""
    at = head.find(b"\x18\x53\x80\x67") + 4
    if at < 4 or at == len(head) or not head[at]:
        return 0
    length = 9 - head[at].bit_length()
    digits = (1 << 7 * length) - 1
    claimed = int.from_bytes(head[at : at + length]) & digits
    return 0 if claimed == digits else at + length + claimed  # All ones mean unknown.


def end_of_parts(connection: SourceConnection) -> int | None:
    """Return the position at which the parts of an MP4 or Matroska file end, or None.

    It is the size of an intact file. FFmpeg skips damage between two parts without an error, and
    everything up to the next part that it finds.
    """
    container = connection.format_name.split(",")[0]
    if connection.input_pipe is not None or container not in ("mov", "matroska"):
        return None
    with open_regular(connection.target.path, follow_links=True) as file:
        is_mp4 = container == "mov"
        return mp4_boxes.end_of_boxes(file) if is_mp4 else matroska.end_of_elements(file)


_PACKET_BYTES = {188: 0, 192: 4, 204: 0}
"""Sizes of the packets of transport streams, with the position of the sync byte in them."""


def _ends_within_packet(head: bytes, size: int) -> bool:
    """Return whether a transport stream ends in the middle of a packet."""
    begin = head.find(b"\x47")
    for length, place in _PACKET_BYTES.items():
        marks = head[begin::length]
        if begin >= 0 and len(marks) > 1 and not marks.strip(b"\x47"):
            return (size - begin + place) % length != 0
    return False


def ends_early(connection: SourceConnection, reached: Fraction | None) -> bool:
    """Return whether the packets end long before the duration that the header states.

    Args:
        connection: The source.
        reached: Time in seconds where the last packet ends. None if no packet had a timestamp.
    """
    container = connection.container
    micro = container.duration
    if container.format.name.split(",")[0] not in _DECLARED or not micro or reached is None:
        return False
    claimed = Fraction((container.start_time or 0) + micro, 1_000_000)
    return reached < claimed - max(Fraction(1, 2), Fraction(micro, 50_000_000))


def video_ends_early(connection: SourceConnection, reached: Fraction | None) -> bool:
    """Return whether the video of an MP4 file ends long before the duration of its track.

    Args:
        connection: The source.
        reached: Time in seconds where the last packet of the video ends, if any had a timestamp.
    """
    video = connection.video
    if connection.format_name.split(",")[0] != "mov" or not video.duration or reached is None:
        return False
    length = video.duration * connection.time_base
    claimed = (video.start_time or 0) * connection.time_base + length
    return reached < claimed - max(Fraction(1, 2), length / 50)


def stated_duration(path: Path) -> Fraction | None:
    """Return the duration in seconds that a video file states, or None if it states none.

    Raises:
        InputError: The file is not a video, or is cut off.
    """
    with SourceConnection(recorded_target(path, ReadSettings())) as connection:
        if points_past_end(connection):
            raise InputError(f"{path}: is cut off")
        micro = connection.container.duration
        return Fraction(micro, 1_000_000) if micro else None


def is_as_long_as_source(path: Path, source: Path) -> bool:
    """Return whether a result has about the duration of its source, as far as they state it.

    For a source that was cut off, the duration of its readable part counts.
    """
    result = stated_duration(path)
    try:
        stated = stated_duration(source)
    except InputError:
        stated = Fraction(-1)  # The duration that a damaged source states is useless.
    if result is None or stated is None or _are_close(result, stated):
        return True
    return _are_close(result, _readable_duration(source))


def _are_close(first: Fraction, second: Fraction) -> bool:
    return abs(first - second) <= max(_SLACK_SECONDS, _SLACK_SHARE * max(first, second))


def _readable_duration(path: Path) -> Fraction:
    """Return the time in seconds from the first to the last packet that can be read."""
    first, last = None, Fraction(0)
    with open_container(path) as container, suppress(FFmpegError):
        for packet in packets_of(container):
            if packet.pts is not None and packet.time_base is not None:
                begin = packet.pts * packet.time_base
                first = begin if first is None else min(first, begin)
                last = max(last, begin + (packet.duration or 0) * packet.time_base)
    return last - (first or 0)
