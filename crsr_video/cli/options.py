"""Options that several commands share, each declared once."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from crsr_video.cli import settings_files
from crsr_video.cli.commands import OVERWRITE as OVERWRITE
from crsr_video.cli.commands import Declaration, option, section
from crsr_video.cli.values import (
    BitRate,
    FaceWidth,
    FrameRate,
    FrameSize,
    NamedFile,
    Number,
    ReportFile,
    ScaleFactor,
    Share,
    Time,
    TrackIds,
    WholeNumber,
    one_of,
    parse_pairs,
    parse_people,
)
from crsr_video.config import (
    DECODING,
    UPSCALERS,
    BackgroundMode,
    Precision,
    Purpose,
    Region,
)
from crsr_video.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

SOURCE = click.argument(
    "source",
    metavar="INPUT",
    type=click.Path(path_type=Path),
    is_eager=True,
    callback=settings_files.keep_source,
)
"""The input. A settings file may lie beside it."""
PRESET_NAME = option(
    "--preset-name",
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=settings_files.keep_preset,
    help=f"Use the options of this preset in {settings_files.NAME}.",
)

# Faces and networks -------------------------------------------------------------------------------

STRENGTH = option(
    "--strength",
    type=Share(),
    default=1.0,
    help="Set how much of the correction is applied; 0 changes nothing.",
)
REGION = option(
    "--region",
    type=one_of(get_args(Region)),
    default="head",
    help="Enhance the whole head, with hair, ears and neck, or only the face.",
)
MIN_FACE = option(
    "--min-face",
    type=FaceWidth(),
    default=16.0,
    help="Leave faces alone that are narrower than this many pixels.",
)
TRACKS = option(
    "--tracks",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the faces from a file that 'crsr-video tracks' wrote for this video.",
)
PEOPLE = (
    option("--only", type=TrackIds(), help="Enhance only these people, such as 1,4 or 1,6-9."),
    option(
        "--face",
        "people",
        metavar="ID=SETTING",
        multiple=True,
        callback=parse_people,
        help="Set ID=off, ID=on or ID=STRENGTH, such as 3,5=0.5; may be repeated.",
    ),
    option(
        "--max-faces",
        metavar="N",
        type=WholeNumber(1),
        help="Enhance at most the N largest faces of a frame.",
    ),
)
"""Options that choose people. Their values become fields of `Config`."""
MODEL = option(
    "--model",
    metavar="NAME|PATH",
    default="fast",
    help="Use these networks: a name from 'crsr-video models', or a .safetensors file.",
)
TEXTURE = option(
    "--texture",
    type=Share(),
    default=0.75,
    help="Draw only certain detail (0), up to plausible skin and hair texture (1).",
)
BACKOFF = option(
    "--backoff/--no-backoff",
    default=True,
    help="Reduce the strength where a face drifts from its original or gets softer.",
)
DEVICE = option(
    "--device",
    metavar="auto|cpu|cuda[:N]|mps",
    default="auto",
    help="Run the networks on this device.",
)
PRECISION = option(
    "--precision",
    type=one_of(get_args(Precision)),
    default="auto",
    help="Run the networks in this number format.",
)

# Input --------------------------------------------------------------------------------------------

START = option(
    "--start",
    type=Time(),
    default=0.0,
    show_default=False,
    help="Start at this time of INPUT, such as 12.5 or 0:12.5.",
)
DURATION = option("--duration", type=Time(above_zero=True), help="Take only this much of INPUT.")
END = option("--end", type=Time(above_zero=True), help="Stop at this time of INPUT.")
HWACCEL = option(
    "--hwaccel",
    type=one_of(DECODING),
    default=DECODING[0],
    help="Decode files on this kind of device if there is one; auto tries all.",
)
SIZE = option("--size", type=FrameSize(), help="Frame size of raw video, such as 1280x720.")
PIXEL_FORMAT = option("--pixel-format", metavar="NAME", help="Pixel format of raw video.")
RATE = option("--rate", type=FrameRate(), help="Frame rate of raw video.")

# Output -------------------------------------------------------------------------------------------

OUTPUT = option("-o", "--output", metavar="OUTPUT", type=NamedFile(), help="Write the result here.")
PURPOSE = option(
    "--for",
    "purpose",
    type=one_of(get_args(Purpose)),
    help="Choose codec, size and container: 'share' is small and plays everywhere, 'edit' suits"
    " editing programs, and 'archive' is lossless and large.",
)
SCALE = option(
    "--scale",
    type=ScaleFactor(),
    default=1,
    help="Enlarge the whole picture; faces get the full resolution of the network.",
)
BACKGROUND = option(
    "--background",
    type=one_of(get_args(BackgroundMode)),
    default="keep",
    help="Also remove artifacts around the faces (clean), or enlarge without blur (restore); slow.",
)
UPSCALER = option(
    "--upscaler",
    type=one_of(UPSCALERS),
    default=UPSCALERS[0],
    help="Enlarge the background with this filter.",
)
CODEC = option(
    "--codec",
    metavar="CODEC",
    help="Encode as h264, h265, av1, vp9, prores or ffv1, or with an FFmpeg encoder such as"
    " libx264; 'copy-like' keeps the codec and bit rate of INPUT.  [default: the codec of INPUT]",
)
CRF = option(
    "--crf",
    type=Number(0, example="18", hint="lower is better and larger"),
    help="Set the constant quality of the encoder: lower is better and larger."
    "  [default: visually lossless]",
)
BITRATE = option("--bitrate", type=BitRate(), help="Set the bits per second, such as 4M or 800k.")
PRESET = option(
    "--preset",
    metavar="NAME",
    help="Set the speed of the encoder, such as veryfast, medium or slow.",
)
ENCODER_OPTIONS = option(
    "-x",
    "encoder_options",
    metavar="KEY=VALUE",
    multiple=True,
    callback=parse_pairs,
    help="Pass an option to the encoder; may be repeated.",
)
REPORT = option(
    "--report",
    metavar="FILE",
    multiple=True,
    type=ReportFile(),
    help="Write a report: FILE.json for programs, FILE.html for a browser; may be repeated.",
)
JSON_EVENTS = option("--json", "as_json", is_flag=True, help="Print events as JSON, one per line.")
JSON_OBJECT = option("--json", "as_json", is_flag=True, help="Print one JSON object.")

# Measuring ----------------------------------------------------------------------------------------

FRAMES = option("--frames", type=WholeNumber(12), default=100, help="Length of the clip.")
RUNS = option(
    "--runs",
    type=WholeNumber(1),
    default=3,
    help="Measure this many times, and print the medians.",
)
SEED = option("--seed", type=WholeNumber(0), default=0, help="Seed of random choices.")
MAX_LATENCY = option(
    "--max-latency",
    type=Number(5, 60_000, units={"ms": 1.0, "s": 1000.0}, example="80"),
    default=80.0,
    metavar="MS",
    help="Keep 19 of 20 frames below this delay from arrival to departure.",
)
SECONDS = option("--seconds", type=Time(above_zero=True), help="Stop after this time.")

# Groups of options --------------------------------------------------------------------------------

face_options = section("Faces", STRENGTH, REGION, *PEOPLE, MIN_FACE, TRACKS)
"""Add the options that choose faces in a file."""

live_face_options = section("Faces", STRENGTH, REGION.but(default="face"), *PEOPLE, MIN_FACE)
"""Add the options that choose faces in a stream."""

network_options = section("Quality of faces", MODEL, TEXTURE, BACKOFF)
"""Add the options of the networks that affect the result."""

speed_options = section("Performance", DEVICE, PRECISION)
"""Add the options of the networks that affect their speed."""


def as_rare(*options: Declaration) -> tuple[Declaration, ...]:
    """Return copies of the options that only --help-all lists."""
    return tuple(declared.but(rare=True) for declared in options)


# Values of options --------------------------------------------------------------------------------


def take(kind: type[T], choices: dict[str, Any], **others: Any) -> T:
    """Build a settings object from option values, and remove these values from `choices`.

    Args:
        kind: Dataclass of the settings. Its fields have the names of the options' parameters.
        choices: Values of all options, by parameter name.
        **others: Values of fields that do not come from options.
    """
    names = {item.name for item in fields(kind)} & choices.keys()
    return kind(**{name: choices.pop(name) for name in names}, **others)


def replace_end(choices: dict[str, Any]) -> None:
    """Convert the value of --end into a duration.

    Raises:
        ConfigError: Both were given, or the end is not after the start.
    """
    end, start = choices.pop("end"), choices["start"]
    if end is None:
        return
    if choices["duration"] is not None:
        raise ConfigError("--end and --duration exclude each other: use one of them")
    if end <= start:
        raise ConfigError(f"--end must be after --start: {end:g} s is not after {start:g} s")
    choices["duration"] = end - start
