"""The messages of the protocol: bytes to values and back, with nothing assumed of the bytes."""

import math
import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import ClassVar, Self

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
MAX_SIDE = 16384
MAX_PIXELS = 1 << 26
"""Of a frame: 8192 x 8192, say."""


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


class Code(IntEnum):
    """Why something was refused."""

    PROTOCOL = 1
    """A message that is none: the connection ends."""
    VERSION = 2
    """Another version of the protocol: the connection ends."""
    BUSY = 3
    """Too many clients: the connection ends."""
    SETTINGS = 4
    """Settings that cannot be used; the former ones are gone."""
    BUFFER = 5
    """Memory that cannot be used; the former one is gone."""
    FAILED = 6
    """This frame could not be enhanced, and is as it was."""


class Wish(IntFlag):
    """Switches of the settings."""

    COMPARE = 1
    DEBUG = 2
    ORDERED = 4
    """Frames come in the order of the video, each once: they may be looked at as a sequence."""


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


@dataclass(frozen=True, slots=True)
class Told:
    """An answer that is only words: the server's version (WELCOME), or a notice or none (OK)."""

    kind: Kind
    words: str

    def pack(self) -> bytes:
        """As a payload."""
        return text(self.words)


@dataclass(frozen=True, slots=True)
class Done:
    """The frame is finished."""

    kind: ClassVar = Kind.DONE
    changed: bool
    """Whether any pixel may differ from before."""
    seen: int
    """Faces in it."""
    enhanced: int
    """Of those, enhanced."""
    notice: str = ""
    """What the user should know."""

    def pack(self) -> bytes:
        """As a payload."""
        return struct.pack("<III", self.changed, self.seen, self.enhanced) + text(self.notice)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Raises: ProtocolError."""
        reader = Reader(payload)
        changed, seen, enhanced = reader.numbers("III")
        notice = reader.text()
        reader.end()
        if changed > 1 or enhanced > seen:
            raise ProtocolError("an answer contradicts itself")
        return cls(bool(changed), seen, enhanced, notice)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something could not be done."""

    kind: ClassVar = Kind.ERROR
    code: int
    words: str

    def pack(self) -> bytes:
        """As a payload."""
        return struct.pack("<I", self.code) + text(self.words)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """Raises: ProtocolError."""
        reader = Reader(payload)
        (code,) = reader.numbers("I")
        words = reader.text()
        reader.end()
        return cls(code, words)


Request = Hello | Buffer | Settings | Enhance
Answer = Told | Done | Refusal

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


def answer(kind: int, payload: bytes) -> Answer:
    """What a server says.

    Raises: ProtocolError: no such message, or a wrong one.
    """
    if kind in (Kind.WELCOME, Kind.OK):
        reader = Reader(payload)
        told = Told(Kind(kind), reader.text())
        reader.end()
        return told
    if kind == Kind.DONE:
        return Done.unpack(payload)
    if kind == Kind.ERROR:
        return Refusal.unpack(payload)
    raise ProtocolError(f"there is no answer of kind {kind}")
