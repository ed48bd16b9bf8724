"""Boxes of MP4 files that FFmpeg does not write."""

import struct
from pathlib import Path

ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def clap(width: int, height: int, right: int = 0, down: int = 0) -> bytes:
    values = width, 1, height, 1, right, 1, down, 1
    return box(b"clap", struct.pack(">IIIIiIiI", *values))


def sphere() -> bytes:
    header = box(b"svhd", bytes(4) + b"test\0")
    mapping = box(b"prhd", bytes(16)) + box(b"equi", bytes(20))
    return box(b"sv3d", header + box(b"proj", mapping))


def dolby_vision() -> bytes:
    return box(b"dvvC", bytes([1, 0]) + struct.pack(">H", 8 << 9 | 4 << 3 | 5) + bytes(20))


def with_box(path: Path, added: bytes) -> Path:
    """Add a box to the sample entry of a file whose index comes last."""
    data = bytearray(path.read_bytes())
    at, end, sizes = 0, len(data), []
    for name in ENTRY:
        while data[at + 4 : at + 8] != name:
            at += int.from_bytes(data[at : at + 4])
        sizes.append(at)
        end = at + int.from_bytes(data[at : at + 4])
        at += 16 if name == b"stsd" else 8
    sizes.append(at)
    assert at < end
    insert_at = at + int.from_bytes(data[at : at + 4])
    data[insert_at:insert_at] = added
    for place in sizes:
        size = int.from_bytes(data[place : place + 4]) + len(added)
        data[place : place + 4] = size.to_bytes(4)
    path.write_bytes(data)
    return path
