"""Limits on chapters and attachments of Matroska files, checked before FFmpeg opens them.

FFmpeg compares every chapter with all before it and cannot be interrupted meanwhile, so a file of a
few megabytes could keep it busy for an hour. It reads all attachments into memory. This module
walks over the elements that FFmpeg reads on opening, without their content: those before the first
cluster, and those that the index (SeekHead) points to.

Sources: RFC 9559 (Matroska) and RFC 8794 (EBML). An element is an identifier, a length and content.
The leading zeros in the first byte of an identifier or a length are the number of bytes after it.
"""

import re
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path

from crsr_video.errors import InputError
from crsr_video.files import open_regular
from crsr_video.io import limits

MAX_CHAPTER_BYTES = 1 << 20
"""Largest size of the chapters element: thousands of chapters in any language fit."""

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_SEEK_HEAD, _CHAPTERS, _ATTACHMENTS = 0x114D9B74, 0x1043A770, 0x1941A469
_PLACE = re.compile(
    rb"\x53\xab\x84(?:\x10\x43\xa7\x70|\x19\x41\xa4\x69)\x53\xac([\x81-\x88])", re.DOTALL
)
"""SeekID of the chapters or the attachments, followed by SeekPosition and its length."""
_MOST_ELEMENTS = 10_000
_LONGEST_INDEX = 1 << 20


def check_sizes(path: Path) -> None:
    """Check the chapters and the attachments of a file.

    Raises:
        InputError: There is more of them than FFmpeg can read in reasonable time and memory.
    """
    try:
        with open_regular(path, follow_links=True) as file:
            sizes = _largest(file)
    except OSError:
        return  # FFmpeg reports it.
    _check(sizes, str(path))


def check_sizes_of_pipe(file: RawIOBase, name: str) -> None:
    """Check a stream that can only be read in order, so that its index is not followed.

    Raises:
        InputError: There is more of chapters or attachments than FFmpeg can read.
    """
    _check(_largest(file, follow=False), name)


def _check(sizes: dict[int, int], name: str) -> None:
    for kind, what, most in (
        (_CHAPTERS, "chapters", MAX_CHAPTER_BYTES),
        (_ATTACHMENTS, "attachments", limits.MAX_ATTACHED),
    ):
        if sizes[kind] > most:
            raise InputError(
                f"{name}: has too many {what} ({sizes[kind]} bytes, at most {most} are allowed)"
            )


def _largest(file: RawIOBase, *, follow: bool = True) -> dict[int, int]:
    """Return the sizes of the largest chapters element and of the largest attachments element."""
    longest = {_CHAPTERS: 0, _ATTACHMENTS: 0}
    head = _element(file, 0)
    if head is None or head[0] != _EBML:
        return longest
    segment = _element(file, head[1] + head[2])
    if segment is None or segment[0] != _SEGMENT:
        return longest
    base = segment[1]
    found, at = list[int](), base
    for _ in range(_MOST_ELEMENTS):
        element = _element(file, at)
        if element is None or element[0] == _CLUSTER:
            break
        kind, content, length = element
        if kind in longest:
            longest[kind] = max(longest[kind], length)
        elif kind == _SEEK_HEAD and follow:
            file.seek(content)
            found += _places(file.read(min(length, _LONGEST_INDEX)) or b"")
        at = content + length
    for place in found:
        element = _element(file, base + place)
        if element is not None and element[0] in longest:
            longest[element[0]] = max(longest[element[0]], element[2])
    return longest


def elements(file: RawIOBase) -> Iterator[tuple[int, int, int]]:
    """Yield identifier, position and length of the elements before the first cluster.

    Args:
        file: A file, which may be no Matroska file.
    """
    head = _element(file, 0)
    if head is None or head[0] != _EBML:
        return
    segment = _element(file, head[1] + head[2])
    if segment is None or segment[0] != _SEGMENT:
        return
    at = segment[1]
    for _ in range(_MOST_ELEMENTS):
        element = _element(file, at)
        if element is None or element[0] == _CLUSTER:
            return
        yield element
        at = element[1] + element[2]


def _places(index: bytes) -> list[int]:
    """Return the positions of chapters and attachments in an index, relative to the segment."""
    return [
        int.from_bytes(index[match.end() : match.end() + (match[1][0] & 15)])
        for match in _PLACE.finditer(index)
    ]


def _element(file: RawIOBase, at: int) -> tuple[int, int, int] | None:
    """Return identifier, position and length of the content of an element, if there is one.

    An unknown length, which is all ones, becomes the greatest possible length.
    """
    file.seek(at)
    head = file.read(12)
    if not head or not head[0]:
        return None
    first = 9 - head[0].bit_length()
    if first > 4 or len(head) <= first or not head[first]:
        return None
    second = 9 - head[first].bit_length()
    length = int.from_bytes(head[first : first + second]) & ((1 << 7 * second) - 1)
    return int.from_bytes(head[:first]), at + first + second, length
