"""What a client asks, as values and as bytes; see ``protocol.md``."""

import math
import struct
from dataclasses import dataclass, field
from enum import IntFlag
from typing import ClassVar, Self

from crsr_video.errors import ProtocolError
from crsr_video.server.wire import Kind, Reader, text

MAX_SIDE = 16384
MAX_PIXELS = 1 << 26
"""Of a frame: 8192 x 8192, say."""


class Wish(IntFlag):
    """Switches of the settings."""

    COMPARE = 1
    DEBUG = 2
    ORDERED = 4
    """Frames come in the order of the video, each once: they may be looked at as a sequence."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a client."""

    kind: ClassVar = Kind.HELLO
    name: str
    """Of the program, for the log."""

    def pack(self) -> bytes:
        """As a payload."""
        return text(self.name)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Raises: ProtocolError."""
        reader = Reader(payload)
        found = cls(reader.text())
        reader.end()
        return found


@dataclass(frozen=True, slots=True)
class Buffer:
    """Shape of the memory that travels with this message: one frame, RGBA, 8 bits each."""

    kind: ClassVar = Kind.BUFFER
    width: int
    height: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.width * self.height * 4

    def pack(self) -> bytes:
        """As a payload."""
        return struct.pack("<II", self.width, self.height)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Raises: ProtocolError."""
        reader = Reader(payload)
        width, height = reader.numbers("II")
        reader.end()
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
            raise ProtocolError(f"a frame cannot have {width}x{height} pixels")
        if width * height > MAX_PIXELS:
            raise ProtocolError(f"a frame of {width}x{height} pixels is too large")
        return cls(width, height)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is to be done with the frames that follow."""

    kind: ClassVar = Kind.SETTINGS
    strength: float = 1.0
    """0 to 1."""
    min_face: float = 16.0
    """Pixels."""
    wishes: Wish = field(default=Wish(0))
    model: str = "fast"
    tracks: str = ""
    """Absolute path of a tracks file, or nothing."""
    persons: str = ""
    """See `persons.parse`."""

    def pack(self) -> bytes:
        """As a payload."""
        numbers = struct.pack("<ddI", self.strength, self.min_face, self.wishes)
        return numbers + text(self.model) + text(self.tracks) + text(self.persons)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Raises: ProtocolError."""
        reader = Reader(payload)
        strength, min_face = reader.real(), reader.real()
        (wishes,) = reader.numbers("I")
        texts = reader.text(), reader.text(), reader.text()
        reader.end()
        if not (0 <= strength <= 1 and 0 <= min_face <= MAX_SIDE):  # false for NaN
            raise ProtocolError("strength or min_face is out of range")
        if wishes & ~int(Wish.COMPARE | Wish.DEBUG | Wish.ORDERED):
            raise ProtocolError("the settings have switches of another version")
        return cls(strength, min_face, Wish(wishes), *texts)


@dataclass(frozen=True, slots=True)
class Enhance:
    """A frame lies in the memory: enhance it there."""

    kind: ClassVar = Kind.ENHANCE
    seconds: float = math.nan
    """What the host calls its time, for the log: hosts mean all kinds of things by it."""

    def pack(self) -> bytes:
        """As a payload."""
        return struct.pack("<d", self.seconds)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Raises: ProtocolError."""
        reader = Reader(payload)
        found = cls(reader.real())
        reader.end()
        return found


Request = Hello | Buffer | Settings | Enhance

_REQUESTS: dict[int, type[Request]] = {
    kind.kind: kind for kind in (Hello, Buffer, Settings, Enhance)
}


def request(kind: int, payload: bytes) -> Request:
    """What a client asks.

    Raises: ProtocolError: no such message, or a wrong one.
    """
    if kind not in _REQUESTS:
        raise ProtocolError(f"there is no request of kind {kind}")
    return _REQUESTS[kind].unpack(payload)
