"""The elements of Matroska files, and limits on chapters and attachments.

FFmpeg compares every chapter with all before it, and this cannot be interrupted, so a file of a few
megabytes could keep it busy for an hour. It reads all attachments into memory. This module visits
the elements that FFmpeg reads on opening, without reading their content: those before the first
cluster, and those that the index (SeekHead) points to.

Sources: RFC 9559 (Matroska) and RFC 8794 (EBML). An element is an identifier, a length and content.
The leading zeros in the first byte of an identifier or a length are the number of bytes after it.
"""

import re
from collections.abc import Iterator
from io import SEEK_END, BytesIO, RawIOBase
from pathlib import Path
from typing import NamedTuple

from crsr_video.errors import InputError
from crsr_video.files import open_regular
from crsr_video.io import limits

TRACKS, CHAPTERS = 0x1654AE6B, 0x1043A770
MAX_CHAPTER_BYTES = 1 << 20
"""Largest size of the chapters element: thousands of chapters in any language fit."""

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_SEEK_HEAD, _ATTACHMENTS = 0x114D9B74, 0x1941A469
_PLACE = re.compile(
    rb"\x53\xab\x84(?:\x10\x43\xa7\x70|\x19\x41\xa4\x69)\x53\xac([\x81-\x88])", re.DOTALL
)
"""SeekID of the chapters or the attachments, followed by SeekPosition and its length."""
_IN_SEGMENT = frozenset(
    (
        *(_CLUSTER, _SEEK_HEAD, _ATTACHMENTS, TRACKS, CHAPTERS),
        *(0x1549A966, 0x1C53BB6B, 0x1254C367, 0xEC, 0xBF),  # Info, Cues, Tags, Void, CRC-32
    )
)
_UNKNOWN_LENGTHS = frozenset((1 << 7 * count) - 1 for count in range(1, 9))
_MOST_CLUSTERS = 1_000_000
_MOST_ELEMENTS = 10_000
_LONGEST_INDEX = 1 << 20


class Element(NamedTuple):
    """A part of a Matroska file."""

    kind: int
    """Its identifier, such as `TRACKS`."""
    begin: int
    """Position of its content."""
    length: int
    """Bytes of its content. An unknown length is the largest value of the length field."""


def check_sizes(path: Path) -> None:
    """Check the chapters and the attachments of a file.

    Raises:
        InputError: They are larger than FFmpeg can read in reasonable time and memory.
    """
    try:
        with open_regular(path, follow_links=True) as file:
            _check(elements(file), str(path))
    except OSError:
        return  # FFmpeg reports this error later.


def check_sizes_of_pipe(file: RawIOBase, name: str) -> None:
    """Check a stream that can only be read in order. Its index is therefore not followed."""
    _check(elements(file, follow=False), name)


def _check(found: Iterator[Element], name: str) -> None:
    limits_by_kind = {
        CHAPTERS: ("chapters", MAX_CHAPTER_BYTES),
        _ATTACHMENTS: ("attachments", limits.MAX_ATTACHED),
    }
    for element in found:
        what, most = limits_by_kind.get(element.kind, ("", element.length))
        if element.length > most:
            raise InputError(
                f"{name}: has too many {what} ({element.length} bytes, at most {most} are allowed)"
            )


def elements(file: RawIOBase | BytesIO, *, follow: bool = True) -> Iterator[Element]:
    """Yield the elements before the first cluster.

    Args:
        file: A file. Nothing is yielded if it is not a Matroska file.
        follow: Whether to yield the chapters and attachments that the index points to as well.
    """
    head = _element(file, 0)
    if head is None or head.kind != _EBML:
        return
    segment = _element(file, head.begin + head.length)
    if segment is None or segment.kind != _SEGMENT:
        return
    places, at = list[int](), segment.begin
    for _ in range(_MOST_ELEMENTS):
        element = _element(file, at)
        if element is None or element.kind == _CLUSTER:
            break
        if element.kind == _SEEK_HEAD and follow:
            file.seek(element.begin)
            places += _places(file.read(min(element.length, _LONGEST_INDEX)) or b"")
        yield element
        at = element.begin + element.length
    for place in places:
        element = _element(file, segment.begin + place)
        if element is not None and segment.begin + place >= at:
            yield element


def end_of_elements(file: RawIOBase | BytesIO) -> int | None:
    """Return the position at which the elements of the segment end, or None if this is unknown.

    It is the size of an intact file with one segment. It is larger if the last element is cut off,
    and smaller if something else follows the elements.
    """
    size, head = file.seek(0, SEEK_END), _element(file, 0)
    segment = None if head is None else _element(file, head.begin + head.length)
    if segment is None or segment.kind != _SEGMENT:
        return None
    at = segment.begin
    for _ in range(_MOST_CLUSTERS):
        if at >= size:
            return at
        element = _element(file, at)
        if element is None or element.kind not in _IN_SEGMENT:
            return at
        if element.length in _UNKNOWN_LENGTHS:
            return None
        at = element.begin + element.length
    return None


def parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the identifier and the content of each element in the content of another one."""
    file, at = BytesIO(content), 0
    while element := _element(file, at):
        at = element.begin + element.length
        yield element.kind, content[element.begin : at]


def _places(index: bytes) -> list[int]:
    """Return the positions of chapters and attachments in an index, relative to the segment."""
    return [
        int.from_bytes(index[match.end() : match.end() + (match[1][0] & 15)])
        for match in _PLACE.finditer(index)
    ]


def _element(file: RawIOBase | BytesIO, at: int) -> Element | None:
    """Return the element at a position, if there is one."""
    file.seek(at)
    head = file.read(12)
    if not head or not head[0]:
        return None
    first = 9 - head[0].bit_length()
    if first > 4 or len(head) <= first or not head[first]:
        return None
    second = 9 - head[first].bit_length()
    length = int.from_bytes(head[first : first + second]) & ((1 << 7 * second) - 1)
    return Element(int.from_bytes(head[:first]), at + first + second, length)
