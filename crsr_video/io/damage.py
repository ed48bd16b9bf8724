"""Finds damage that FFmpeg does not report: lost pictures, gaps, impossible times, cut-off files.

A decoder that cannot use a packet may raise an error, or return a concealed picture that is marked
as corrupt. It may also return nothing at all. `DamageDetector` finds that by comparing what went
into the decoder with what came out. A demuxer that loses synchronization in a damaged file
continues where it finds the next packet, which shows only as a gap in the timestamps.

FFV1, a codec for archives, has checksums, but FFmpeg conceals a picture whose checksum fails
without marking it. Source: RFC 9043, section 4.9: a slice ends with its size in 24 bits, an error
status of 8 bits, and a CRC of 32 bits if the stream has any. Slices are found from the end of a
packet backwards.
"""

import zlib
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.video.frame import VideoFrame

from crsr_video.config import ReadSettings
from crsr_video.errors import InputError
from crsr_video.files import open_regular
from crsr_video.formatting import format_count
from crsr_video.io import matroska, mp4_boxes
from crsr_video.io.pyav import Packet
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.io.sources.opening import open_container, packets_of
from crsr_video.io.sources.targets import recorded_target

_ONE_PICTURE_PER_PACKET = frozenset(
    (
        *("h264", "hevc", "vvc", "av1", "vp9", "mpeg1video", "mpeg2video", "mjpeg", "ffv1"),
        *("prores", "dnxhd", "cfhd", "huffyuv", "utvideo", "png"),
    )
)
"""Codecs with one picture per packet. VP8 has hidden pictures, and MPEG-4 may skip some."""
_REGULAR_STEPS = 5
"""Number of equal steps of the clock, before or after a longer step, that make it a gap."""
_PICTURES_PER_GAP = 250
"""Minimum number of pictures per gap. More frequent leaps indicate a variable frame rate, since
recordings of screens and phones leave out pictures, and some containers do not store durations."""
_MOST_WAITING = 1024
"""Maximum number of packets that a decoder is assumed to hold back."""
_FFV1_FOOTER = 8
_REVERSED_BITS = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class DamageDetector:
    """Compares what goes into a decoder with what comes out, in bounded memory.

    Pictures before the first one that comes out do not count as damage: a recording that begins in
    the middle of a group of pictures starts with some that nobody can decode. A notice tells their
    number.

    Args:
        codec: FFmpeg's name of the codec.
        begin: Ignore pictures before this timestamp in ticks. Defaults to checking all pictures.
    """

    def __init__(self, codec: str, begin: int | None = None) -> None:
        self._counts = codec in _ONE_PICTURE_PER_PACKET
        self._may_have_checksums = codec == "ffv1"
        self._has_checksums = False
        self._unsound: set[int] = set()
        self._concealed = 0
        self._begin = begin
        self._waiting: set[int] = set()
        self._late: set[int] = set()
        self._last: int | None = None
        self._step = self._steps = self._duration = self._first_duration = 0
        self._has_leapt = False  # This counts as a gap once the clock proves regular.
        self._missing = self._leading = 0
        self._pictures = 0
        self._gaps = 0
        self._marked = 0

    def packet_sent(self, packet: Packet) -> None:
        """Record a packet that is sent to the decoder."""
        self._marked += packet.is_corrupt
        if self._may_have_checksums and packet.pts is not None:
            if has_valid_ffv1_checksums(bytes(packet)):
                self._has_checksums = True
            elif len(self._unsound) < _MOST_WAITING:
                self._unsound.add(packet.pts)
        if packet.pts is not None and not packet.is_discard and len(self._waiting) < _MOST_WAITING:
            self._waiting.add(packet.pts)

    def picture_received(self, picture: VideoFrame) -> None:
        """Record a picture that the decoder returns. Call it in order of presentation."""
        if picture.interlaced_frame:  # Each of its fields may have a packet.
            self._counts = False
        pts, last = picture.pts, self._last
        if pts is None:
            return
        self._pictures += 1
        if pts in self._late:  # It is out of order, but not missing.
            self._late -= {pts}
            self._missing -= 1
        is_unsound = pts in self._unsound
        self._unsound = {time for time in self._unsound if time > pts}
        passed = {time for time in self._waiting if time < pts}
        self._waiting -= {*passed, pts}
        if self._begin is not None and pts < self._begin:
            return
        self._concealed += is_unsound and not picture.is_corrupt
        if last is not None and pts > last:
            self._late = passed if len(self._late) > _MOST_WAITING else self._late | passed
            self._missing += len(passed)
            self._check_step(pts - last)
        elif last is None:
            self._leading = len(passed) if self._begin is None else 0
            self._first_duration = picture.duration
        self._last, self._duration = pts if last is None else max(pts, last), picture.duration

    def _check_step(self, step: int) -> None:
        """Compare the time between two pictures with the steps before it."""
        times = round(step / self._step) if self._step else 1
        rounding = min(1 + times // 2, self._step / 4)
        if times < 1 or abs(step - times * self._step) > rounding:
            was_gap = self._pictures == 3 and self._is_gap_before(step)
            self._step, self._steps, self._has_leapt = step, 0, was_gap
        elif times == 1:
            self._steps += 1
            if self._steps == _REGULAR_STEPS:
                self._gaps, self._has_leapt = self._gaps + self._has_leapt, False
        else:
            has_leapt = self._duration < 0.7 * step  # Otherwise the last picture was long.
            self._gaps += has_leapt and self._steps >= _REGULAR_STEPS
            self._has_leapt |= has_leapt and self._steps < _REGULAR_STEPS
            self._steps = 0

    def _is_gap_before(self, step: int) -> bool:
        """Return whether the first step of all is a gap, if `step` is the usual one."""
        first, times = self._step, round(self._step / step)
        is_multiple = times > 1 and abs(first - times * step) <= min(1 + times // 2, step / 4)
        return is_multiple and self._first_duration < 0.7 * first

    def finish(self) -> None:
        """Count the remaining packets as missing, once the decoder has returned everything."""
        if self._last is not None:
            self._missing += sum(time > self._last for time in self._waiting)
        self._waiting.clear()

    @property
    def concealed(self) -> int:
        """Number of pictures that fail their checksums, but are not marked as corrupt."""
        return self._concealed if self._has_checksums else 0

    @property
    def lost(self) -> int:
        """Number of packets without a picture, for codecs in which every packet yields one."""
        return self._missing if self._counts else 0

    @property
    def gaps(self) -> int:
        """Number of places at which a regular clock leaps over some pictures.

        Frequent leaps count only if there is other damage too.
        """
        is_variable = self._gaps > max(2, self._pictures // _PICTURES_PER_GAP)
        is_sound = not (self.lost or self._marked or self.concealed)
        return 0 if is_variable and is_sound else self._gaps

    @property
    def notes(self) -> tuple[str, ...]:
        """Notices for the user, one line each."""
        notes = []
        if self._leading and self._counts:
            pictures = "1 picture" if self._leading == 1 else f"{self._leading} pictures"
            notes.append(f"left out {pictures} at the beginning, whose keyframe is missing")
        if self.lost:
            notes.append(f"damaged pictures are missing: {self.lost}")
        if self._marked:
            packets = format_count(self._marked, "packet")
            notes.append(f"the file marks {packets} of its video as damaged")
        if self.gaps:
            places = "1 place" if self.gaps == 1 else f"{self.gaps} places"
            notes.append(f"pictures seem to be missing: timestamps leap at {places}")
        return tuple(notes)


def has_valid_ffv1_checksums(packet: bytes) -> bool:
    """Return whether an FFV1 packet consists of slices with valid checksums."""
    end = len(packet)
    while end >= _FFV1_FOOTER:
        begin = end - _FFV1_FOOTER - int.from_bytes(packet[end - _FFV1_FOOTER : end - 5])
        if begin < 0 or ffv1_crc(packet[begin:end]):
            return False
        end = begin
    return end == 0 and len(packet) > 0


def ffv1_crc(data: bytes) -> int:
    """Return FFV1's CRC of data with its bits reversed, or 0 if the data ends with its own CRC.

    zlib's CRC has the same polynomial, but takes the least significant bit first, and inverts the
    register before and after.
    """
    return zlib.crc32(data.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF


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
