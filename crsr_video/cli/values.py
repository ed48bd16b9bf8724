"""Types of option values. Each converts a text to a value, or explains why it cannot."""

import os
import re
from abc import abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crsr_video.config import REPORTS, PersonSettings, add_person_settings, parse_track_ids
from crsr_video.errors import ConfigError

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # It takes no type arguments before click 8.2.

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)(s|ms|us)?", re.ASCII)
_TIME_FORMS = "use seconds such as 12.5, minutes such as 0:12.5 or hours such as 1:02:03.5"
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


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


class BitRate(Value):
    """Bits per second, written as 4000000, 800k or 4M."""

    name = "RATE"

    def parse(self, text: str) -> int:
        """Return the number of bits per second."""
        factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text[-1:].lower(), 1)
        try:
            number = float(text.lower().rstrip("kmg")) * factor
        except ValueError:
            number = 0.0
        if not 1 <= number < 2**31:  # False for NaN too. The upper limit is FFmpeg's.
            raise ConfigError(f"invalid bit rate '{text}': use a number such as 800k or 4M")
        return round(number)


class FrameSize(Value):
    """Width and height, written as 640x480."""

    name = "WxH"

    def parse(self, text: str) -> tuple[int, int]:
        """Return width and height."""
        found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text.lower(), re.ASCII)
        if found is None:
            raise ConfigError(f"invalid frame size '{text}': use WxH, such as 640x480")
        return int(found[1]), int(found[2])


class FrameRate(Value):
    """Frames per second, written as 30, 29.97 or 30000/1001."""

    name = "FPS"

    def parse(self, text: str) -> Fraction:
        """Return the rate as a fraction."""
        try:
            number = Fraction(text)
        except (ValueError, ZeroDivisionError):
            number = Fraction(0)
        if not 0 < number <= 1000:
            raise ConfigError(f"invalid frame rate '{text}': use 30 or 30000/1001, up to 1000")
        return number


class Time(Value):
    """A time in a video in FFmpeg's notation, such as 12.5, 0:12.5, 1:02:03.5 or 200ms.

    Args:
        above_zero: Whether zero is refused.
    """

    name = "TIME"

    def __init__(self, *, above_zero: bool = False) -> None:
        self._above_zero = above_zero

    def parse(self, text: str) -> float:
        """Return the time in seconds."""
        found = _TIME.fullmatch(text)
        if found is None:
            raise ConfigError(f"invalid time '{text}': {_TIME_FORMS}")
        hours, minutes, seconds = (float(part or 0) for part in found.group(1, 2, 3))
        if (found[2] and (seconds >= 60 or found[4])) or (found[1] and minutes >= 60):
            raise ConfigError(f"invalid time '{text}': {_TIME_FORMS}")
        total = hours * 3600 + minutes * 60 + seconds * _UNITS[found[4] or "s"]
        if self._above_zero and total == 0:
            raise ConfigError(f"invalid time '{text}': it must be above zero")
        return total


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
