"""Read the boxes of MP4 and MOV files, and add boxes to a finished file.

Source: ISO/IEC 14496-12. A box consists of its size in four bytes, its name in four bytes, and its
content.
"""

from collections.abc import Iterator
from io import SEEK_END, BytesIO, RawIOBase
from pathlib import Path
from typing import NamedTuple

ENTRY_BYTES = 78
"""Length of the fields of a video sample entry that precede its boxes."""
_MOST_BYTES = 64 << 20
"""Maximum number of bytes that are read from a box."""
_HEAD = 8
_LAST_POSITION = (1 << 63) - 1
"""Largest position that can be sought. A damaged size may lead beyond it."""
_TABLE = (b"mdia", b"minf", b"stbl", b"stsd")


def boxes(data: bytes, at: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and content of each box in `data`, starting at offset `at`."""
    while at + _HEAD <= len(data):
        size, name, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], _HEAD
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        size = size or len(data) - at
        if size < head:
            return
        yield name, data[at + head : at + size]
        at += size


def boxes_at(data: bytes, *path: bytes) -> Iterator[bytes]:
    """Yield the contents of all boxes at a path of box names, of which the first is outermost."""
    for name, content in boxes(data):
        if name == path[0]:
            if len(path) == 1:
                yield content
            else:
                yield from boxes_at(content, *path[1:])


def sample_entry(track: bytes) -> bytes:
    """Return the content of the first sample entry of a track, or b"" if it has none."""
    for table in boxes_at(track, *_TABLE):
        for _, entry in boxes(table, 8):
            return entry
    return b""


def made(name: bytes, content: bytes) -> bytes:
    """Return a box of this name and content as bytes."""
    return (_HEAD + len(content)).to_bytes(4) + name + content


class OuterBox(NamedTuple):
    """A box that is not inside another one."""

    name: bytes
    at: int
    """Position of the box in the file."""
    begin: int
    """Position of its content."""
    end: int


def outer_boxes(file: RawIOBase | BytesIO) -> Iterator[OuterBox]:
    """Yield the outermost boxes of a file, but none whose size is unknown or invalid."""
    at = 0
    while at <= _LAST_POSITION:
        file.seek(at)
        head = file.read(16) or b""
        size, begin = int.from_bytes(head[:4]), _HEAD
        if size == 1:
            size, begin = int.from_bytes(head[8:16]), 16
        if len(head) < _HEAD or size < begin:
            return
        yield OuterBox(head[4:8], at, at + begin, at + size)
        at += size


def content_of(file: RawIOBase | BytesIO, box: OuterBox) -> bytes:
    """Return the content of a box of a file, or the beginning of a giant one."""
    file.seek(box.begin)
    return file.read(min(box.end - box.begin, _MOST_BYTES)) or b""


def end_of_boxes(file: RawIOBase | BytesIO) -> int:
    """Return the position at which the outermost boxes of a file end.

    It is the size of an intact file. It is larger if the last box is cut off, and smaller if
    something else follows the boxes.
    """
    size, at = file.seek(0, SEEK_END), 0
    while at < size:
        file.seek(at)
        head = file.read(16) or b""
        length = int.from_bytes(head[:4])
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:])
        if length == 0:  # The last box may state no length.
            return size
        if len(head) < _HEAD or length < _HEAD or not _is_name(head[4:8]):
            return at
        at += length
    return at


def _is_name(name: bytes) -> bool:
    return all(0x20 <= code < 0x7F or code == 0xA9 for code in name)


def add_to_track(path: Path, number: int, in_entry: bytes, in_track: bytes) -> None:
    """Add boxes to a track of a file. The movie box must come last, so that no other data moves.

    Args:
        path: A file that FFmpeg has written.
        number: Number of the track in the file.
        in_entry: Boxes to append to the first sample entry of the track.
        in_track: Boxes to append to the track itself.

    Raises:
        ValueError: The movie box does not come last.
    """
    with path.open("r+b", buffering=0) as file:
        box = next((box for box in outer_boxes(file) if box.name == b"moov"), None)
        if box is None or box.end != path.stat().st_size:
            raise ValueError("the movie box does not come last")
        movie = content_of(file, box)
        file.seek(box.at)
        file.write(made(b"moov", _with_boxes(movie, number, in_entry, in_track)))


def _with_boxes(movie: bytes, number: int, in_entry: bytes, in_track: bytes) -> bytes:
    parts, tracks = [], 0
    for name, content in boxes(movie):
        if name == b"trak":
            if tracks == number:
                content = _with_entry_boxes(content, _TABLE, in_entry) + in_track
            tracks += 1
        parts.append(made(name, content))
    return b"".join(parts)


def _with_entry_boxes(content: bytes, path: tuple[bytes, ...], added: bytes) -> bytes:
    """Return the content of a box with boxes added to the first sample entry inside it."""
    if not path:  # The box is the table, which holds eight bytes and then the sample entries.
        (name, entry), *others = boxes(content, 8)
        entries = ((name, entry + added), *others)
        return content[:8] + b"".join(made(*item) for item in entries)
    return b"".join(
        made(name, _with_entry_boxes(inside, path[1:], added) if name == path[0] else inside)
        for name, inside in boxes(content)
    )
