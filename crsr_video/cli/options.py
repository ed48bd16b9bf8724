"""Options that several commands share, the types of their values, and help in sections."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from crsr_video.config import (
    REPORTS,
    PersonSettings,
    Precision,
    add_person_settings,
    parse_track_ids,
)
from crsr_video.errors import ConfigError

if TYPE_CHECKING:
    _ValueType = click.ParamType[Any]
else:
    _ValueType = click.ParamType  # It takes no type arguments before click 8.2.

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

_NO_FILE = "'-' is not a file, and this result cannot go to standard output (./- is a file name)"
_OTHER = "Other options"
_OUTPUT_OPTIONS = ("-o", "--output", "--out")


# Help in sections --------------------------------------------------------------------------------


class SectionOption(click.Option):
    """An option that is listed under a heading of the help text."""

    section = _OTHER


class SectionCommand(click.Command):
    """A command whose help text lists options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section in the order of their first option."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                title = parameter.section if isinstance(parameter, SectionOption) else _OTHER
                sections.setdefault(title, []).append(record)
        for title in sorted(sections, key=lambda title: title == _OTHER):
            with formatter.section(title):
                formatter.write_dl(sections[title])


def option(*names: str, **attributes: Any) -> Decorator[Any]:
    """Declare an option for a `section`."""
    return click.option(*names, cls=SectionOption, **attributes)


def section(title: str, *options: Decorator[Any]) -> Decorator[Any]:
    """Add options to a command under one heading of its help text."""

    def decorate(command: F) -> F:
        known: list[click.Parameter] = getattr(command, "__click_params__", [])
        before = len(known)
        for add in reversed(options):
            command = add(command)
        added: list[click.Parameter] = getattr(command, "__click_params__", [])
        for parameter in added[before:]:
            if isinstance(parameter, SectionOption):
                parameter.section = title
        return command

    return decorate


# Types of values ---------------------------------------------------------------------------------


class BitRate(_ValueType):
    """Bits per second, written as 4000000, 800k or 4M."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number of bits per second, or fail."""
        if isinstance(value, int):
            return value
        text = value.strip().lower()
        factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text[-1:], 1)
        try:
            number = float(text.rstrip("kmg")) * factor
        except ValueError:
            number = 0.0
        if not 1 <= number < 2**31:  # False for NaN too. The upper limit is FFmpeg's.
            self.fail(f"invalid bit rate '{value}': use a number such as 800k or 4M", param, ctx)
        return round(number)


class FrameSize(_ValueType):
    """Width and height, written as 640x480."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return (width, height), or fail."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", value.strip().lower(), re.ASCII)
        if found is None:
            self.fail(f"invalid frame size '{value}': use WxH, such as 640x480", param, ctx)
        return int(found[1]), int(found[2])


class FrameRate(_ValueType):
    """Frames per second, written as 30, 29.97 or 30000/1001."""

    name = "fps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a fraction, or fail."""
        if isinstance(value, Fraction):
            return value
        try:
            number = Fraction(value.strip())
        except (ValueError, ZeroDivisionError):
            number = Fraction(0)
        if not 0 < number <= 1000:
            self.fail(f"invalid frame rate '{value}': use 30 or 30000/1001, up to 1000", param, ctx)
        return number


class TimeOfVideo(_ValueType):
    """A time in a video, written as 12.5, 0:12.5 or 1:02:03.5."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return seconds, or fail."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)", value.strip(), re.ASCII)
        parts = [float(part or 0) for part in found.groups()] if found else []
        if found is None or (found[2] and parts[2] >= 60) or (found[1] and parts[1] >= 60):
            self.fail(f"invalid time '{value}': use 12.5, 0:12.5 or 1:02:03.5", param, ctx)
        return parts[0] * 3600 + parts[1] * 60 + parts[2]


class NumberList(_ValueType):
    """Whole numbers of an allowed range, separated by commas.

    Args:
        allowed: Accepted numbers in ascending order.
        meaning: Description of an accepted number in the error message.
    """

    name = "N,N"

    def __init__(self, allowed: Sequence[int], meaning: str) -> None:
        self._allowed, self._meaning = allowed, meaning

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the different numbers in the order given, or fail."""
        if isinstance(value, tuple):
            return value
        names = [name.strip() for name in value.split(",")]
        most_digits = len(str(self._allowed[-1]))
        for name in names:
            digits = name.isascii() and name.isdigit() and len(name) <= most_digits
            if not digits or int(name) not in self._allowed:
                self.fail(f"'{name}' is not {self._meaning}", param, ctx)
        return tuple(dict.fromkeys(int(name) for name in names))


class NameList(_ValueType):
    """Names out of a fixed set, separated by commas."""

    name = "NAMES"

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the names in the order given, or fail."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        for name in names:
            if name not in self._allowed:
                self.fail(f"'{name}' is not one of {', '.join(self._allowed)}", param, ctx)
        return names


class NamedFile(click.Path):
    """The path of a file. "-" is refused, because other commands take it for standard output."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(path_type=Path, **attributes)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or fail."""
        if str(value) == "-":
            self.fail(_NO_FILE, param, ctx)
        return super().convert(value, param, ctx)


def refuse_standard_output(arguments: Sequence[str]) -> None:
    """Check arguments that are passed on to another command for an output that is "-".

    Raises:
        click.UsageError: If the output is "-".
    """
    separate = any(name in _OUTPUT_OPTIONS and value == "-" for name, value in pairwise(arguments))
    if separate or {"-o-", "--output=-", "--out=-"} & set(arguments):
        raise click.UsageError(f"Invalid value for '-o': {_NO_FILE}")


def is_folder(path: str) -> bool:
    """Whether a path is an existing folder, or ends with a separator."""
    return path.endswith(("/", os.sep)) or os.path.isdir(path)  # noqa: PTH112 - never raises


def parse_pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Split the values of a repeated KEY=VALUE option."""
    for value in values:
        if "=" not in value or value.startswith("="):
            raise click.BadParameter(f"'{value}' is not KEY=VALUE", context, parameter)
    return dict(value.split("=", 1) for value in values)


def _check_reports(
    context: click.Context, parameter: click.Parameter, values: tuple[Path, ...]
) -> tuple[Path, ...]:
    for value in values:
        if value.suffix.lower() not in REPORTS:
            text = f"'{value}' has an unknown ending: use .json or .html"
            raise click.BadParameter(text, context, parameter)
    return values


def _parse_people(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[int, PersonSettings]:
    people: dict[int, PersonSettings] = {}
    with _as_bad_parameter(context, parameter):
        for value in values:
            add_person_settings(people, value)
    return people


def _parse_only(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> frozenset[int] | None:
    if value is None:
        return None
    with _as_bad_parameter(context, parameter):
        return frozenset(parse_track_ids(value))


@contextmanager
def _as_bad_parameter(context: click.Context, parameter: click.Parameter) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise click.BadParameter(str(error), context, parameter) from error


# Options of several commands ---------------------------------------------------------------------

STRENGTH = option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Set how much of the correction is applied; 0 changes nothing.",
)
MODEL = option(
    "--model",
    metavar="NAME|PATH",
    default="fast",
    show_default=True,
    help="Use these networks: a name from 'crsr-video models', or a .safetensors file.",
)
MIN_FACE = option(
    "--min-face",
    type=click.FloatRange(min=0),
    default=16.0,
    show_default=True,
    metavar="PX",
    help="Leave faces alone that are narrower than this many pixels.",
)
DEVICE = option(
    "--device",
    metavar="auto|cpu|cuda[:N]|mps",
    default="auto",
    show_default=True,
    help="Run the networks on this device.",
)
PRECISION = option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="auto",
    show_default=True,
    help="Run the networks in this number format.",
)
TRACKS = option(
    "--tracks",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the faces from a file that 'crsr-video tracks' wrote for this video.",
)
OVERWRITE = option("--overwrite", is_flag=True, help="Replace files that exist.")
REPORT = option(
    "--report",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    callback=_check_reports,
    help="Write a report: FILE.json for programs, FILE.html for a browser; may be repeated.",
)
JSON_EVENTS = option("--json", "as_json", is_flag=True, help="Print events as JSON, one per line.")
BITRATE = option(
    "--bitrate",
    metavar="RATE",
    type=BitRate(),
    help="Set the bits per second instead of --crf, such as 4M or 800k.",
)
ENCODER_OPTIONS = option(
    "-x",
    "encoder_options",
    metavar="KEY=VALUE",
    multiple=True,
    callback=parse_pairs,
    help="Pass an option to the encoder; may be repeated.",
)
PEOPLE = (
    option(
        "--only",
        metavar="ID,ID",
        callback=_parse_only,
        help="Enhance only these track IDs, such as 1,4 or 1,6-9.",
    ),
    option(
        "--face",
        "people",
        metavar="ID=SETTING",
        multiple=True,
        callback=_parse_people,
        help="Set ID=off, ID=on or ID=strength:0..1, such as 3,5=strength:0.5; may be repeated.",
    ),
    option(
        "--max-faces",
        metavar="N",
        type=click.IntRange(min=1),
        help="Enhance at most the N largest faces of a frame.",
    ),
)
"""Options that choose people; they become fields of `Config`."""

face_options = section("Faces", STRENGTH, *PEOPLE, TRACKS, MIN_FACE)
"""Add the options that choose faces in a file."""

live_face_options = section("Faces", STRENGTH, *PEOPLE, MIN_FACE)
"""Add the options that choose faces in a stream."""

network_options = section(
    "Networks",
    MODEL,
    option(
        "--texture",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        help="Draw only certain detail (0), up to plausible skin and hair texture (1).",
    ),
    option(
        "--backoff/--no-backoff",
        default=True,
        show_default=True,
        help="Reduce the strength where a face drifts from its original or gets softer.",
    ),
    DEVICE,
    PRECISION,
)
"""Add the options of the networks."""
