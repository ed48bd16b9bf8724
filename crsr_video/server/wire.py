"""How messages travel: their headers, and values as bytes, with nothing assumed of the bytes."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from crsr_video.errors import ProtocolError, VersionError

MAGIC = b"CRSR"
VERSION = 1
"""A change that the other side would misunderstand makes it 2."""

HEADER = struct.Struct("<4sHHII")
"""Magic, version, kind, sequence number, length of what follows: the same in every version."""
MAX_PAYLOAD = 1 << 14
"""Bytes after a header."""
MAX_TEXT = 4096
"""Bytes of UTF-8."""


class Kind(IntEnum):
    """What a message is."""

    HELLO = 1
    BUFFER = 2
    SETTINGS = 3
    ENHANCE = 4
    WELCOME = 128
    OK = 129
    DONE = 130
    ERROR = 131


@dataclass(frozen=True, slots=True)
class Header:
    """What comes before each message."""

    kind: int
    sequence: int
    length: int

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """From 16 bytes.

        Raises: ProtocolError: this is no message, or too long a one. VersionError.
        """
        magic, version, kind, sequence, length = HEADER.unpack(data)
        if magic != MAGIC:
            raise ProtocolError("this is not the protocol of crsr-video")
        if version != VERSION:
            raise VersionError(f"it speaks version {version} of the protocol, not {VERSION}")
        if length > MAX_PAYLOAD:
            raise ProtocolError(f"a message of {length} bytes is too long")
        return cls(kind, sequence, length)


def pack(kind: Kind, sequence: int, payload: bytes = b"") -> bytes:
    """A whole message."""
    return HEADER.pack(MAGIC, VERSION, kind, sequence, len(payload)) + payload


class Reader:
    """Takes values from a payload, one after the other.

    Raises: ProtocolError: from every method, where the bytes are not what they should be.
    """

    def __init__(self, payload: bytes) -> None:
        self._rest = payload

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Whole numbers, by the letters of `struct`."""
        size = struct.calcsize(f"<{layout}")
        return struct.unpack(f"<{layout}", self._take(size))

    def real(self) -> float:
        """A floating-point number, perhaps none that is finite."""
        (value,) = struct.unpack("<d", self._take(8))
        return float(value)

    def text(self) -> str:
        """Text on one line."""
        (size,) = self.numbers("H")
        if size > MAX_TEXT:
            raise ProtocolError(f"a text of {size} bytes is too long")
        try:
            text = self._take(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolError("a text is not UTF-8") from error
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise ProtocolError("a text holds control characters")
        return text

    def end(self) -> None:
        """Nothing may be left."""
        if self._rest:
            raise ProtocolError(f"a message has {len(self._rest)} bytes too many")

    def _take(self, size: int) -> bytes:
        if size > len(self._rest):
            raise ProtocolError("a message is too short")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def text(value: str) -> bytes:
    """Text as it travels: cut to the limit, on one line."""
    line = "".join(c if ord(c) >= 32 and ord(c) != 127 else " " for c in value)
    data = line.encode("utf-8", "replace")[:MAX_TEXT]
    data = data.decode("utf-8", "ignore").encode()  # a cut character at the end goes
    return struct.pack("<H", len(data)) + data
