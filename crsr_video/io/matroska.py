"""A limit on the chapters of Matroska files, checked before FFmpeg opens them.

FFmpeg compares every chapter with all before it and cannot be interrupted meanwhile, so a file of a
few megabytes could keep it busy for an hour. This module walks over the elements that FFmpeg reads
on opening, without their content: those before the first cluster, and those that the index
(SeekHead) points to.

Sources: RFC 9559 (Matroska) and RFC 8794 (EBML). An element is an identifier, a length and content.
The leading zeros in the first byte of an identifier or a length are the number of bytes after it.
"""

import re
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from crsr_video.errors import InputError

MAX_CHAPTER_BYTES = 1 << 20
"""Largest size of the chapters element: thousands of chapters in any language fit."""

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_SEEK_HEAD, _CHAPTERS = 0x114D9B74, 0x1043A770
_TO_CHAPTERS = re.compile(rb"\x53\xab\x84\x10\x43\xa7\x70\x53\xac([\x81-\x88])", re.DOTALL)
"""SeekID of the chapters, followed by SeekPosition and its length."""
_MOST_ELEMENTS = 10_000
_LONGEST_INDEX = 1 << 20


def check_chapters(path: Path) -> None:
    """Check the chapters of a file.

    Raises:
        InputError: There are more chapters than FFmpeg can read in reasonable time.
    """
    try:
        with path.open("rb") as file:
            size = _chapter_bytes(file)
    except OSError:
        return  # FFmpeg reports it.
    _check_size(size, str(path))


def check_chapters_of_pipe(file: RawIOBase, name: str) -> None:
    """Check the chapters of a stream that can only be read in order; its index is not followed.

    Raises:
        InputError: There are more chapters than FFmpeg can read in reasonable time.
    """
    _check_size(_chapter_bytes(file, follow=False), name)


def _check_size(size: int, name: str) -> None:
    if size > MAX_CHAPTER_BYTES:
        raise InputError(
            f"{name}: has too many chapters ({size} bytes, at most {MAX_CHAPTER_BYTES} are allowed)"
        )


def _chapter_bytes(file: BinaryIO | RawIOBase, *, follow: bool = True) -> int:
    """Return the size of the largest chapters element, or 0 without chapters or Matroska."""
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
    """Return the positions of chapters in an index, relative to the segment."""
    return [
        int.from_bytes(index[match.end() : match.end() + (match[1][0] & 15)])
        for match in _TO_CHAPTERS.finditer(index)
    ]


def _element(file: BinaryIO | RawIOBase, at: int) -> tuple[int, int, int] | None:
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
