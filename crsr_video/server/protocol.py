"""Messages between the server and its clients, as values and as bytes.

``docs/server-protocol.md`` describes the protocol. Nothing is assumed about received bytes:
an invalid message raises `ProtocolError`, and one of another version raises `VersionError`.
"""

import math
import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import ClassVar, Self

from crsr_video.errors import ProtocolError, VersionError

MAGIC = b"CRSR"
VERSION = 1
"""Version of the protocol. A change that the other side would misunderstand increases it."""
HEADER = struct.Struct("<4sHHII")
"""Magic, version, kind, sequence number, payload length. This is the same in every version."""
MAX_PAYLOAD = 1 << 14
MAX_TEXT = 4096
"""Maximum length of a text in bytes of UTF-8."""
MAX_SIDE = 16384
MAX_PIXELS = 1 << 26
"""Maximum number of pixels in a frame, such as 8192 x 8192."""


class MessageKind(IntEnum):
    """Kind of a message."""

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
    """Header of a message."""

    kind: int
    sequence: int
    length: int

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read a header from its 16 bytes.

        Raises:
            ProtocolError: The bytes are not a header, or announce a message that is too long.
            VersionError: The message is of another version of the protocol.
        """
        magic, version, kind, sequence, length = HEADER.unpack(data)
        if magic != MAGIC:
            raise ProtocolError("this is not the protocol of crsr-video")
        if version != VERSION:
            raise VersionError(f"it speaks version {version} of the protocol, not {VERSION}")
        if length > MAX_PAYLOAD:
            raise ProtocolError(f"a message of {length} bytes is too long")
        return cls(kind, sequence, length)


def pack(kind: MessageKind, sequence: int, payload: bytes = b"") -> bytes:
    """Return a whole message: header and payload."""
    return HEADER.pack(MAGIC, VERSION, kind, sequence, len(payload)) + payload


def pack_text(value: str) -> bytes:
    """Return the length and bytes of a text, made one line and cut to `MAX_TEXT` bytes."""
    line = "".join(c if ord(c) >= 32 and ord(c) != 127 else " " for c in value)
    data = line.encode("utf-8", "replace")[:MAX_TEXT]
    data = data.decode("utf-8", "ignore").encode()  # Drop a character that was cut in two.
    return struct.pack("<H", len(data)) + data


class PayloadReader:
    """Takes values from a payload, one after the other.

    Every method raises `ProtocolError` if the bytes are not what they should be.
    """

    def __init__(self, payload: bytes) -> None:
        self._rest = payload

    def integers(self, layout: str) -> tuple[int, ...]:
        """Return unsigned integers, by the format letters of `struct`."""
        size = struct.calcsize(f"<{layout}")
        return struct.unpack(f"<{layout}", self._take(size))

    def real(self) -> float:
        """Return a floating-point number, which may be NaN or infinite."""
        (value,) = struct.unpack("<d", self._take(8))
        return float(value)

    def text(self) -> str:
        """Return a text of one line."""
        (size,) = self.integers("H")
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
        """Check that nothing is left."""
        if self._rest:
            raise ProtocolError(f"a message has {len(self._rest)} bytes too many")

    def _take(self, size: int) -> bytes:
        if size > len(self._rest):
            raise ProtocolError("a message is too short")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


# Requests of a client ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a client.

    Attributes:
        name: Name of the client's program, for the log.
    """

    kind: ClassVar = MessageKind.HELLO
    name: str

    def pack(self) -> bytes:
        """Return the payload."""
        return pack_text(self.name)

    @classmethod
    def read(cls, payload: PayloadReader) -> Self:
        """Take the message from a payload."""
        return cls(payload.text())


@dataclass(frozen=True, slots=True)
class Buffer:
    """Size of the shared memory that is sent with this message: one frame in 8-bit RGBA."""

    kind: ClassVar = MessageKind.BUFFER
    width: int
    height: int

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.width * self.height * 4

    def pack(self) -> bytes:
        """Return the payload."""
        return struct.pack("<II", self.width, self.height)

    @classmethod
    def read(cls, payload: PayloadReader) -> Self:
        """Take the message from a payload."""
        width, height = payload.integers("II")
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
            raise ProtocolError(f"a frame cannot have {width}x{height} pixels")
        if width * height > MAX_PIXELS:
            raise ProtocolError(f"a frame of {width}x{height} pixels is too large")
        return cls(width, height)


class EffectFlag(IntFlag):
    """Switches of `EffectSettings`."""

    COMPARE = 1
    """Leave the left half of the frame as it was."""
    DEBUG = 2
    """Draw boxes, track IDs and landmarks."""
    ORDERED = 4
    """Frames arrive once each and in order, so that faces may be tracked from frame to frame."""
    HEAD = 8
    """Enhance the whole head, with hair, ears and neck, rather than only the face."""


@dataclass(frozen=True, slots=True)
class EffectSettings:
    """How the following frames are enhanced.

    Attributes:
        strength: Share of the correction that is applied, from 0 to 1.
        min_face: Faces narrower than this many pixels are left alone.
        flags: Switches.
        model: Name of shipped weights, or absolute path of a safetensors file.
        tracks: Absolute path of a tracks file, or an empty text to detect the faces.
        persons: People to enhance and their settings, as `parsing.parse_people` reads them.
    """

    kind: ClassVar = MessageKind.SETTINGS
    strength: float = 1.0
    min_face: float = 16.0
    flags: EffectFlag = field(default=EffectFlag(0))
    model: str = "fast"
    tracks: str = ""
    persons: str = ""

    def pack(self) -> bytes:
        """Return the payload."""
        numbers = struct.pack("<ddI", self.strength, self.min_face, self.flags)
        return numbers + pack_text(self.model) + pack_text(self.tracks) + pack_text(self.persons)

    @classmethod
    def read(cls, payload: PayloadReader) -> Self:
        """Take the message from a payload."""
        strength, min_face = payload.real(), payload.real()
        (flags,) = payload.integers("I")
        texts = payload.text(), payload.text(), payload.text()
        if not (0 <= strength <= 1 and 0 <= min_face <= MAX_SIDE):  # This is also false for NaN.
            raise ProtocolError("strength or min_face is out of range")
        if flags & ~sum(EffectFlag):
            raise ProtocolError("the settings have switches of another version")
        return cls(strength, min_face, EffectFlag(flags), *texts)


@dataclass(frozen=True, slots=True)
class Enhance:
    """Request to enhance the frame in the shared memory.

    Attributes:
        seconds: Time of the frame in the client's program, for the log. Programs count it in
            different ways.
    """

    kind: ClassVar = MessageKind.ENHANCE
    seconds: float = math.nan

    def pack(self) -> bytes:
        """Return the payload."""
        return struct.pack("<d", self.seconds)

    @classmethod
    def read(cls, payload: PayloadReader) -> Self:
        """Take the message from a payload."""
        return cls(payload.real())


Request = Hello | Buffer | EffectSettings | Enhance


def unpack_request(kind: int, payload: bytes) -> Request:
    """Return a client's request.

    Raises:
        ProtocolError: There is no such request, or its payload is invalid.
    """
    reader = PayloadReader(payload)
    found: Request
    match kind:
        case MessageKind.HELLO:
            found = Hello.read(reader)
        case MessageKind.BUFFER:
            found = Buffer.read(reader)
        case MessageKind.SETTINGS:
            found = EffectSettings.read(reader)
        case MessageKind.ENHANCE:
            found = Enhance.read(reader)
        case _:
            raise ProtocolError(f"there is no request of kind {kind}")
    reader.end()
    return found


# Answers of the server ---------------------------------------------------------------------------


class RefusalCode(IntEnum):
    """The reason for which a request was refused."""

    PROTOCOL = 1
    """The message is invalid. The connection ends."""
    VERSION = 2
    """The message is of another version of the protocol. The connection ends."""
    BUSY = 3
    """There are too many clients. The connection ends."""
    SETTINGS = 4
    """The settings cannot be used, and the previous ones are gone."""
    BUFFER = 5
    """The memory cannot be used, and the previous one is gone."""
    FAILED = 6
    """This frame could not be enhanced, and is unchanged."""


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """An answer of text: the server's version (WELCOME), or an optional notice (OK)."""

    kind: MessageKind
    text: str

    def pack(self) -> bytes:
        """Return the payload."""
        return pack_text(self.text)


@dataclass(frozen=True, slots=True)
class FrameDone:
    """The frame is finished.

    Attributes:
        changed: Whether any pixel may differ from before.
        seen: Number of faces in the frame.
        enhanced: Number of those that were enhanced.
        notice: Notice for the user, if any.
    """

    kind: ClassVar = MessageKind.DONE
    changed: bool
    seen: int
    enhanced: int
    notice: str = ""

    def pack(self) -> bytes:
        """Return the payload."""
        counts = struct.pack("<III", self.changed, self.seen, self.enhanced)
        return counts + pack_text(self.notice)

    @classmethod
    def read(cls, payload: PayloadReader) -> Self:
        """Take the message from a payload."""
        changed, seen, enhanced = payload.integers("III")
        if changed > 1 or enhanced > seen:
            raise ProtocolError("an answer contradicts itself")
        return cls(bool(changed), seen, enhanced, payload.text())


@dataclass(frozen=True, slots=True)
class Refusal:
    """The request was refused."""

    kind: ClassVar = MessageKind.ERROR
    code: int
    message: str

    def pack(self) -> bytes:
        """Return the payload."""
        return struct.pack("<I", self.code) + pack_text(self.message)

    @classmethod
    def read(cls, payload: PayloadReader) -> Self:
        """Take the message from a payload."""
        (code,) = payload.integers("I")
        return cls(code, payload.text())


Answer = TextAnswer | FrameDone | Refusal


def unpack_answer(kind: int, payload: bytes) -> Answer:
    """Return a server's answer.

    Raises:
        ProtocolError: There is no such answer, or its payload is invalid.
    """
    reader = PayloadReader(payload)
    found: Answer
    match kind:
        case MessageKind.WELCOME | MessageKind.OK:
            found = TextAnswer(MessageKind(kind), reader.text())
        case MessageKind.DONE:
            found = FrameDone.read(reader)
        case MessageKind.ERROR:
            found = Refusal.read(reader)
        case _:
            raise ProtocolError(f"there is no answer of kind {kind}")
    reader.end()
    return found
