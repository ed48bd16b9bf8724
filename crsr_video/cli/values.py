"""Types of option values. Each converts a text to a value, or explains why it cannot."""

import os
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crsr_video.config import REPORTS, SCALES, PersonSettings
from crsr_video.errors import ConfigError
from crsr_video.parsing import (
    add_person_settings,
    parse_number,
    parse_share,
    parse_track_ids,
)

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # It takes no type arguments before click 8.2.

_SIZE = re.compile(r"([1-9]\d{0,5})\s*[xX*:\u00d7]\s*([1-9]\d{0,5})", re.ASCII)
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:[.,]\d*)?|[.,]\d+)", re.ASCII)
_TIMES = re.compile(r"(\d+(?:[.,]\d*)?|[.,]\d+)\s*([a-z]*)\s*", re.ASCII | re.IGNORECASE)
_TIME_FORMS = "use seconds such as 12.5, minutes such as 0:12.5 or hours such as 1:02:03.5"
_TIME_UNITS = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    "ms": 1e-3,
    "us": 1e-6,
}
"""Seconds in each unit of time, by the names that people write."""
_LEAST_BIT_RATE = 1000
_BIT_UNITS = {
    prefix + unit: factor
    for prefix, factor in (("", 1.0), ("k", 1e3), ("m", 1e6), ("g", 1e9))
    for unit in ("", "bps", "b/s", "bit", "bit/s", "bits")
}
"""Bits per second in each unit of a bit rate, by the names that people write."""


class Value(_ParamType):
    """Base class of option types. The help text shows `name` in place of a value."""

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """Return the name, which click would show in capitals."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of a text, or fail."""
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value.strip())
        except ConfigError as error:
            self.fail(str(error), param, ctx)

    @abstractmethod
    def parse(self, text: str) -> Any:
        """Return the value of a text.

        Raises:
            ConfigError: The text is not a valid value of this type.
        """


class Number(Value):
    """A number in a range. It may have a decimal comma and a unit.

    Args:
        least: Smallest number that is allowed.
        most: Largest number that is allowed.
        above: Number that the value must exceed.
        units: Factors of the units that are allowed, by name in lower case.
        example: A number for error messages.
        hint: Advice for error messages.
    """

    name = "N"
    _kind = "number"

    def __init__(
        self,
        least: float | None = None,
        most: float | None = None,
        *,
        above: float | None = None,
        units: Mapping[str, float] | None = None,
        example: str = "",
        hint: str = "",
    ) -> None:
        self._least, self._most, self._above = least, most, above
        self._units = units or {}
        example = example or f"{max(2, least or 0):g}"
        self._advice = f"use a {self._kind} such as {example}{hint and f' ({hint})'}"

    def parse(self, text: str) -> float:
        """Return the number."""
        try:
            number = parse_number(text, self._units)
        except ConfigError as error:
            raise ConfigError(f"{error}: {self._advice}") from error
        if not (
            (self._least is None or number >= self._least)
            and (self._most is None or number <= self._most)
            and (self._above is None or number > self._above)
        ):
            raise ConfigError(f"{text} is not {self._allowed()}: {self._advice}")
        return number

    def _allowed(self) -> str:
        if self._above is not None:
            return f"above {self._above:g}"
        if self._most is None:
            return f"{self._least:g} or more"
        return f"between {self._least:g} and {self._most:g}"


class WholeNumber(Number):
    """A whole number in a range."""

    _kind = "whole number"

    def parse(self, text: str) -> int:
        """Return the number."""
        number = super().parse(text)
        if not number.is_integer():
            raise ConfigError(f"{text} is not a whole number: {self._advice}")
        return int(number)


class FaceWidth(Number):
    """The width of a face in pixels, written as 20 or 20px.

    Args:
        most: Largest width that is allowed.
    """

    name = "PX"

    def __init__(self, most: float | None = None) -> None:
        units = {"px": 1.0, "pixel": 1.0, "pixels": 1.0}
        super().__init__(0, most, units=units, example="20", hint="pixels")


class Share(Value):
    """A share from 0 to 1, written as 0.6 or 60%."""

    name = "0..1"

    def parse(self, text: str) -> float:
        """Return the share."""
        return parse_share(text)


class ScaleFactor(Value):
    """A factor of enlargement, written as 2, 2x or 200%."""

    name = "|".join(map(str, SCALES))

    def parse(self, text: str) -> int:
        """Return the factor."""
        try:
            factor = parse_number(text.lower().removeprefix("x"), {"x": 1.0, "%": 0.01})
        except ConfigError:
            factor = 0.0
        if factor not in SCALES:
            raise ConfigError(f"'{text}' is not a factor that is possible: use 1, 2 or 4")
        return int(factor)


class BitRate(Value):
    """Bits per second, written as 4000000, 800k, 4M or 4 Mbit/s."""

    name = "RATE"

    def parse(self, text: str) -> int:
        """Return the number of bits per second."""
        try:
            number = parse_number(text, _BIT_UNITS)
        except ConfigError:
            number = 0.0
        if not 1 <= number < 2**31:  # The upper limit is FFmpeg's.
            raise ConfigError(f"invalid bit rate '{text}': use a number such as 800k or 4M")
        if number < _LEAST_BIT_RATE and text.isdigit():
            raise ConfigError(f"{text} bits per second are too few: did you mean {text}M?")
        return round(number)


class FrameSize(Value):
    """Width and height, written as 640x480."""

    name = "WxH"

    def parse(self, text: str) -> tuple[int, int]:
        """Return width and height."""
        found = _SIZE.fullmatch(text)
        if found is None:
            raise ConfigError(f"invalid frame size '{text}': use WxH, such as 640x480")
        return int(found[1]), int(found[2])


class FrameRate(Value):
    """Frames per second, written as 30, 29.97 or 30000/1001."""

    name = "FPS"

    def parse(self, text: str) -> Fraction:
        """Return the rate as a fraction."""
        try:
            number = Fraction(text.lower().removesuffix("fps").strip().replace(",", "."))
        except (ValueError, ZeroDivisionError):
            number = Fraction(0)
        if not 0 < number <= 1000:
            raise ConfigError(f"invalid frame rate '{text}': use 30 or 30000/1001, up to 1000")
        return number


class Time(Value):
    """A time, written as 12.5, 0:12.5, 1:02:03.5, 200ms or 1m30s.

    Args:
        above_zero: Whether zero is refused.
    """

    name = "TIME"

    def __init__(self, *, above_zero: bool = False) -> None:
        self._above_zero = above_zero

    def parse(self, text: str) -> float:
        """Return the time in seconds."""
        total = _seconds(text)
        if total is None:
            raise ConfigError(f"invalid time '{text}': {_TIME_FORMS}")
        if self._above_zero and total == 0:
            raise ConfigError(f"invalid time '{text}': it must be above zero")
        return total


def _seconds(text: str) -> float | None:
    """Return the seconds of a time, or None if the text is not a time."""
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds = (
            float((part or "0").replace(",", ".")) for part in clock.groups()
        )
        is_valid = seconds < 60 and (minutes < 60 or not clock[1])
        return hours * 3600 + minutes * 60 + seconds if is_valid else None
    parts = _TIMES.findall(text)
    units = [unit.lower() for _, unit in parts]
    is_whole = bool(parts) and not _TIMES.sub("", text)
    if not is_whole or not set(units) <= _TIME_UNITS.keys() or (len(parts) > 1 and "" in units):
        return None
    values = [float(number.replace(",", ".")) for number, _ in parts]
    return sum(value * _TIME_UNITS[unit] for value, unit in zip(values, units, strict=True))


class NumberList(Value):
    """Whole numbers of an allowed range, separated by commas.

    Args:
        allowed: Accepted numbers in ascending order.
        meaning: Description of an accepted number in the error message.
        name: Placeholder for the value in the help text.
    """

    def __init__(self, allowed: Sequence[int], meaning: str, name: str = "N,N") -> None:
        self._allowed, self._meaning, self.name = allowed, meaning, name

    def parse(self, text: str) -> tuple[int, ...]:
        """Return the numbers in the given order, without repetitions."""
        names = [name.strip() for name in text.split(",")]
        most_digits = len(str(self._allowed[-1]))
        for name in names:
            digits = name.isascii() and name.isdigit() and len(name) <= most_digits
            if not digits or int(name) not in self._allowed:
                raise ConfigError(f"'{name}' is not {self._meaning}")
        return tuple(dict.fromkeys(int(name) for name in names))


class NameList(Value):
    """Names from a fixed set, separated by commas."""

    name = "NAMES"

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = allowed

    def parse(self, text: str) -> tuple[str, ...]:
        """Return the names in the order given."""
        names = tuple(name.strip() for name in text.split(","))
        for name in names:
            if name not in self._allowed:
                raise ConfigError(f"'{name}' is not one of {', '.join(self._allowed)}")
        return names


class TrackIds(Value):
    """Track IDs, written as 1,4 or 1,6-9."""

    name = "ID,ID"

    def parse(self, text: str) -> frozenset[int]:
        """Return the track IDs."""
        return frozenset(parse_track_ids(text))


class NamedFile(click.Path):
    """The path of a file. "-" is refused, because it means standard output elsewhere."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(path_type=Path, **attributes)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or fail."""
        if str(value) == "-":
            text = "'-' is not a file, and this result cannot go to standard output"
            self.fail(f"{text} (./- is a file name)", param, ctx)
        return super().convert(value, param, ctx)


class ReportFile(NamedFile):
    """The path of a report."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or fail."""
        path = super().convert(value, param, ctx)
        if path.suffix.lower() not in REPORTS:
            self.fail(f"'{path}' has an unknown ending: use .json or .html", param, ctx)
        return path


def one_of(names: Sequence[str]) -> "_ParamType":
    """Return the type of an option that is one of some names, in capital or small letters."""
    return click.Choice(names, case_sensitive=False)


def is_folder(path: str) -> bool:
    """Whether a path is an existing folder, or ends with a separator."""
    return path.endswith(("/", os.sep)) or os.path.isdir(path)


def parse_pairs(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, str]:
    """Split the values of a repeated KEY=VALUE option."""
    for value in values:
        if "=" not in value or value.startswith("="):
            raise click.BadParameter(f"'{value}' is not KEY=VALUE", context, parameter)
    return dict(value.split("=", 1) for value in values)


def parse_people(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[int, PersonSettings]:
    """Return the settings of individual people from the values of a repeated ID=SETTING option."""
    people: dict[int, PersonSettings] = {}
    try:
        for value in values:
            add_person_settings(people, value)
    except ConfigError as error:
        raise click.BadParameter(str(error), context, parameter) from error
    return people
