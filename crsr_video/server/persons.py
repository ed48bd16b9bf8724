"""Whom to enhance, as one line of text."""

from dataclasses import dataclass, field

from crsr_video.config import FaceSettings
from crsr_video.errors import ConfigError

_MOST = 100_000
"""Faces in a range."""
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Persons:
    """As `Config` has it."""

    faces: dict[int, FaceSettings] = field(default_factory=dict)
    only: frozenset[int] | None = None


def parse(text: str) -> Persons:
    """Persons from words with blanks or semicolons between them.

    A word is what ``--only`` takes (``1,4-6``), or what ``--face`` takes (``2=off``,
    ``3,5=strength:0.5``).
    Raises: ConfigError: a word is neither.
    """
    faces: dict[int, FaceSettings] = {}
    only: set[int] = set()
    for word in text.replace(";", " ").split():
        ids, equals, what = word.partition("=")
        if not equals:
            only.update(_numbers(ids))
            continue
        settings = _settings(what)
        for number in _numbers(ids):
            if number in faces:
                raise ConfigError(f"persons: face {number} is given twice")
            faces[number] = settings
    return Persons(faces, frozenset(only) or None)


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = _number(first)
        high = _number(last) if dash else low
        if not 0 <= high - low < _MOST:
            raise ConfigError(f"persons: '{part}' is no range of faces, such as 6-9")
        numbers += range(low, high + 1)
    return numbers


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) > 0):
        raise ConfigError(f"persons: '{text}' is no number of a face: they are 1, 2, 3 and so on")
    return int(text)


def _settings(what: str) -> FaceSettings:
    word, colon, amount = what.partition(":")
    if word in ("on", "off") and not colon:
        return FaceSettings(enabled=word == "on")
    try:
        strength = float(amount) if word == "strength" else -1.0
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 1:  # false for NaN
        raise ConfigError(f"persons: '{what}' is not off, on, or strength:0 to strength:1")
    return FaceSettings(strength=strength)
