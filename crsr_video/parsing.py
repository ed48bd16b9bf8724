"""Parse numbers, and settings of people, as users write them."""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from crsr_video.config import PersonSettings
from crsr_video.errors import ConfigError

_NUMBER = re.compile(
    r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?)\s*([a-z%/]*)", re.ASCII | re.IGNORECASE
)
_SHARE_FORMS = "use a number such as 0.6 or 60%"
_LEAST_PERCENTAGE = 10
"""Least number that is probably meant as a percentage."""
_NO_UNITS: Mapping[str, float] = MappingProxyType({})


def parse_number(text: str, units: Mapping[str, float] = _NO_UNITS) -> float:
    """Return the value of a number, which may have a decimal comma and a unit.

    Args:
        text: The number, such as ``0.6``, ``0,6`` or ``20 px``.
        units: Factors of the units that are allowed, by name in lower case.

    Raises:
        ConfigError: The text is not a number, or has another unit.
    """
    found = _NUMBER.fullmatch(text.strip())
    unit = found[2].lower() if found else ""
    number = float(found[1].replace(",", ".")) if found else math.nan
    if not math.isfinite(number) or (unit and unit not in units):
        raise ConfigError(f"'{text}' is not a number")
    return number * units.get(unit, 1.0)


def parse_share(text: str) -> float:
    """Return the value of a share from 0 to 1, such as ``0.6`` or ``60%``.

    Raises:
        ConfigError: The text is not a number, or the value is not between 0 and 1.
    """
    try:
        share = parse_number(text, {"%": 0.01})
    except ConfigError as error:
        raise ConfigError(f"{error}: {_SHARE_FORMS}") from error
    if not 0 <= share <= 1:
        is_percentage = _LEAST_PERCENTAGE <= share <= 100
        advice = f"did you mean {text.strip()}%?" if is_percentage else _SHARE_FORMS
        raise ConfigError(f"{text.strip()} is not between 0 and 1: {advice}")
    return share


# Settings of individual people --------------------------------------------------------------------

_MAX_RANGE = 100_000
"""Largest number of track IDs in a range."""
_MAX_DIGITS = 9


def parse_people(text: str) -> tuple[dict[int, PersonSettings], frozenset[int] | None]:
    """Return the people to enhance and their settings from one line of text.

    Args:
        text: Words with spaces or semicolons between them. A word is a list of track IDs
            (``1,4-6``) or the setting of some of them (``2=off``, ``3,5=0.5``, also written as
            ``3,5=strength:0.5``). A colon may replace the equals sign, which some programs reserve
            for their own syntax.

    Returns:
        Values of `FaceSettings.people` and of `FaceSettings.only`.

    Raises:
        ConfigError: A word is neither a list nor a setting, or a person has two settings.
    """
    people: dict[int, PersonSettings] = {}
    only: set[int] = set()
    try:
        for word in text.replace(";", " ").split():
            if re.search("[=:]", word):
                add_person_settings(people, word)
            else:
                only.update(parse_track_ids(word))
    except ConfigError as error:
        raise ConfigError(f"persons: {error}") from error
    return people, frozenset(only) or None


def add_person_settings(people: dict[int, PersonSettings], word: str) -> None:
    """Add the setting of some people, such as ``2=off`` or ``3,5=strength:0.5``, to `people`.

    Raises:
        ConfigError: The word is not such a setting, or a person already has a setting.
    """
    found = re.search("[=:]", word)
    if found is None:
        raise ConfigError(f"invalid face setting '{word}': {_SETTING_FORMS}")
    settings = _parse_setting(word[found.end() :].strip())
    for track_id in parse_track_ids(word[: found.start()]):
        if track_id in people:
            raise ConfigError(f"face {track_id} has two settings: give one")
        people[track_id] = settings


def parse_track_ids(text: str) -> list[int]:
    """Return the track IDs of a list such as ``1,4,6-9`` or ``1 4``.

    Raises:
        ConfigError: The text is not a list of track IDs.
    """
    found: list[int] = []
    for part in re.split(r"\s*[,;]\s*|\s+", re.sub(r"\s*-\s*", "-", text.strip())):
        first, dash, last = part.partition("-")
        low = _parse_track_id(first if dash and first.strip() else part)
        high = _parse_track_id(last) if dash else low
        if not 0 <= high - low < _MAX_RANGE:
            raise ConfigError(f"invalid range of faces '{part}': use a range such as 6-9")
        found += range(low, high + 1)
    return found


_SETTING_FORMS = "use ID=off, ID=on, or ID=STRENGTH such as 2=0.5"


def _parse_track_id(text: str) -> int:
    digits = text.strip()
    if not (
        digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS and int(digits) > 0
    ):
        raise ConfigError(f"invalid track ID '{text}': track IDs are 1, 2, 3 and so on")
    return int(digits)


def _parse_setting(text: str) -> PersonSettings:
    if text in ("on", "off"):
        return PersonSettings(enabled=text == "on")
    amount = text.removeprefix("strength:").strip()
    if amount == text and not re.match("[0-9.,]", text):
        raise ConfigError(f"invalid face setting '{text}': {_SETTING_FORMS}")
    return PersonSettings(strength=parse_share(amount))
