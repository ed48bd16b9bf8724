"""Whom to enhance and how much, as people write it."""

import re

from crsr_video.config import FaceSettings
from crsr_video.errors import ConfigError

_FORMS = "off, on, or strength:0 to strength:1"
_MOST = 100_000
"""Faces in a range."""
_DIGITS = 9
_BETWEEN = re.compile("[=:]")
"""A colon will do as well: some programs take a text with = for something else."""


def settings(word: str) -> tuple[list[int], FaceSettings] | None:
    """Faces and what is done with them, of ``2=off``, ``2:off`` or ``3,5=strength:0.5``.

    Returns: None: the word has nothing but faces.
    Raises:  ConfigError: it is something else.
    """
    found = _BETWEEN.search(word)
    if found is None:
        return None
    what = _what(word[found.end() :])
    return numbers(word[: found.start()]), what


def merge(into: dict[int, FaceSettings], faces: list[int], what: FaceSettings) -> None:
    """Add settings for some faces.

    Raises: ConfigError: one of them has some already.
    """
    for number in faces:
        if number in into:
            raise ConfigError(f"face {number} is given twice")
        into[number] = what


def numbers(text: str) -> list[int]:
    """The numbers of several faces: ``1,4,6-9``.

    Raises: ConfigError: the text is something else.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = _number(first if dash and first.strip() else part)
        high = _number(last) if dash else low
        if not 0 <= high - low < _MOST:
            raise ConfigError(f"'{part}' is no range of faces, such as 6-9")
        found += range(low, high + 1)
    return found


def _number(text: str) -> int:
    """The number of a face."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS and int(digits) > 0):
        raise ConfigError(f"'{text}' is no number of a face: they are 1, 2, 3 and so on")
    return int(digits)


def _what(text: str) -> FaceSettings:
    word, colon, amount = text.strip().partition(":")
    if word in ("on", "off") and not colon:
        return FaceSettings(enabled=word == "on")
    if word != "strength" or not colon:
        raise ConfigError(f"'{text}' is nothing to do with a face: it can be {_FORMS}")
    try:
        strength = float(amount)
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 1:  # false for NaN
        raise ConfigError(f"strength is a number from 0 to 1, not '{amount}'")
    return FaceSettings(strength=strength)
