"""Whether a file was cut off: FFmpeg ends without a word."""

from fractions import Fraction

from av.container import InputContainer
from av.video.stream import VideoStream

_DECLARED = frozenset(("mov", "matroska", "avi", "asf", "flv", "mxf", "nut"))
"""Containers whose header says how long they are; elsewhere FFmpeg measures what is there."""
HEAD, TAIL = 256, 12
"""Bytes from the beginning and from the end that are looked at."""
_SHORTEST_INDEX = 20
"""Bytes of NUT's index, which ends with its own length, in eight bytes, and a checksum."""


def overruns(
    container: InputContainer,
    video: VideoStream,
    ends: tuple[bytes, bytes],
    size: int,
    reached: int,
) -> bool:
    """Whether a file points behind its end: MP4's index, AVI's or Matroska's outermost chunk.

    A Y4M file has nothing of the kind, but may end in the middle of a picture; NUT as FFmpeg writes
    it ends with an index, also in a pipe.
    Args: ends: its first bytes, and its last.
          size: in bytes.
          reached: where the last packet ends that could be read.
    """
    head, tail = ends
    kind = container.format.name.split(",")[0]
    entries = video.index_entries
    if kind == "mov" and len(entries):
        last = entries[len(entries) - 1]
        return last.pos + last.size > size
    if kind == "avi":
        claimed = int.from_bytes(head[4:8], "little")
        return size < claimed + 8 and claimed != 0xFFFFFFFF  # Which means unknown.
    if kind == "matroska":
        return size < _segment_end(head[:HEAD])
    if kind == "nut" and container.metadata.get("encoder", "").startswith("Lavf"):
        return not _SHORTEST_INDEX <= int.from_bytes(tail[:8]) <= min(size, 1 << 32)
    return kind == "yuv4mpegpipe" and reached < size


def _segment_end(head: bytes) -> int:
    """Where the one great element of a Matroska file ends; 0: it does not say."""
    at = head.find(b"\x18\x53\x80\x67") + 4
    if at < 4 or at == len(head) or not head[at]:
        return 0
    length = 9 - head[at].bit_length()
    digits = (1 << 7 * length) - 1
    claimed = int.from_bytes(head[at : at + length]) & digits
    return 0 if claimed == digits else at + length + claimed  # All ones mean unknown.


def falls_short(container: InputContainer, reached: Fraction | None) -> bool:
    """Whether the packets end long before the time that the header names.

    Args: reached: seconds, the end of the last packet; None: no packet had a time.
    """
    micro = container.duration
    if container.format.name.split(",")[0] not in _DECLARED or not micro or reached is None:
        return False
    claimed = Fraction((container.start_time or 0) + micro, 1_000_000)
    return reached < claimed - max(Fraction(1, 2), Fraction(micro, 50_000_000))
