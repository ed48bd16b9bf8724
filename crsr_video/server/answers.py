"""What a server says, as values and as bytes; see ``protocol.md``."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from crsr_video.errors import ProtocolError
from crsr_video.server.wire import Kind, Reader, text


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


Answer = Told | Done | Refusal


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
