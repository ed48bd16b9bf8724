"""A look at a Matroska file before FFmpeg has one.

FFmpeg compares every chapter with all before it, and cannot be interrupted while it does: a file
of a few megabytes could keep it busy for an hour. So the elements that it reads on opening are
walked over first, in the same order, without their content: those before the first cluster, and
those that the index of elements (SeekHead) points to.

Source: RFC 9559 (Matroska), RFC 8794 (EBML): an identifier, a length, the content; the number of
leading zeros of an identifier's or a length's first byte tells how many bytes follow it.
"""

import re
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from crsr_video.errors import InputError

MAX_CHAPTER_BYTES = 1 << 20
"""Bytes of all chapters' marks and titles: thousands of chapters, in any language."""

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_SEEK_HEAD, _CHAPTERS = 0x114D9B74, 0x1043A770
_TO_CHAPTERS = re.compile(rb"\x53\xab\x84\x10\x43\xa7\x70\x53\xac([\x81-\x88])", re.DOTALL)
"""SeekID of the chapters, then SeekPosition and its length."""
_MOST_ELEMENTS = 10_000
_LONGEST_INDEX = 1 << 20


def check_chapters(path: Path) -> None:
    """Raises: InputError: there are more chapters than FFmpeg can read in reasonable time."""
    try:
        with path.open("rb") as file:
            size = _chapter_bytes(file)
    except OSError:
        return  # FFmpeg will say it.
    _check_size(size, str(path))


def check_chapters_of_pipe(file: RawIOBase, name: str) -> None:
    """Likewise for what can only be read in order: FFmpeg then does not follow the index.

    Raises: InputError.
    """
    _check_size(_chapter_bytes(file, follow=False), name)


def _check_size(size: int, name: str) -> None:
    if size > MAX_CHAPTER_BYTES:
        raise InputError(
            f"{name}: has too many chapters ({size} bytes of them, but {MAX_CHAPTER_BYTES} at most)"
        )


def _chapter_bytes(file: BinaryIO | RawIOBase, *, follow: bool = True) -> int:
    """Length of the longest element of chapters; 0: none, or not Matroska."""
    head = _element(file, 0)
    if head is None or head[0] != _EBML:
        return 0
    segment = _element(file, head[1] + head[2])
    if segment is None or segment[0] != _SEGMENT:
        return 0
    base, longest = segment[1], 0
    found, at = list[int](), base
    for _ in range(_MOST_ELEMENTS):
        element = _element(file, at)
        if element is None or element[0] == _CLUSTER:
            break
        kind, content, length = element
        if kind == _CHAPTERS:
            longest = max(longest, length)
        elif kind == _SEEK_HEAD and follow:
            file.seek(content)
            found += _places(file.read(min(length, _LONGEST_INDEX)) or b"")
        at = content + length
    for place in found:
        element = _element(file, base + place)
        if element is not None and element[0] == _CHAPTERS:
            longest = max(longest, element[2])
    return longest


def _places(index: bytes) -> list[int]:
    """Where an index says that chapters are, from the beginning of the segment."""
    return [
        int.from_bytes(index[match.end() : match.end() + (match[1][0] & 15)])
        for match in _TO_CHAPTERS.finditer(index)
    ]


def _element(file: BinaryIO | RawIOBase, at: int) -> tuple[int, int, int] | None:
    """Identifier, place of the content and its length; None: there is no element.

    An unknown length, all ones, comes out as the greatest there is.
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
