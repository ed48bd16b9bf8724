"""Options that say how faces are enhanced: the same for files and for live streams."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from crsr_video.cli import values
from crsr_video.config import Precision


def enhancing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --strength, --model and what else is a field of `Config` in every mode."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def placement_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --device and --precision: where the networks run, and in what arithmetic."""
    for option in reversed(_PLACEMENT):
        command = option(command)
    return command


def report_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --report."""
    return click.option(
        "--report",
        metavar="FILE",
        multiple=True,
        type=click.Path(path_type=Path),
        callback=values.reports,
        help="Tell what was done: FILE.json for programs, FILE.html to look at; may be repeated.",
    )(command)


def encoder_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -x."""
    return click.option(
        "-x",
        "encoder_options",
        metavar="KEY=VALUE",
        multiple=True,
        callback=values.pairs,
        help="Further encoder option; may be repeated.",
    )(command)


_PLACEMENT = (
    click.option(
        "--device",
        metavar="auto|cpu|cuda[:N]|mps",
        default="auto",
        show_default=True,
        help="Where the networks run.",
    ),
    click.option(
        "--precision",
        type=click.Choice(get_args(Precision)),
        default="auto",
        show_default=True,
        help="Arithmetic of the networks.",
    ),
)

_OPTIONS = (
    click.option(
        "--strength",
        type=click.FloatRange(0, 1),
        default=1.0,
        show_default=True,
        help="How much of the correction is applied; 0 changes nothing.",
    ),
    click.option(
        "--model",
        metavar="NAME|PATH",
        default="fast",
        show_default=True,
        help="Which networks: a name from 'crsr-video models', or a .safetensors file.",
    ),
    click.option(
        "--texture",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        help="0: draw only what is sure; 1: dare believable skin and hair.",
    ),
    click.option(
        "--backoff/--no-backoff",
        default=True,
        show_default=True,
        help="Use less of a face that drifts from who it was, or comes out softer.",
    ),
    *_PLACEMENT,
    click.option(
        "--min-face",
        type=click.FloatRange(min=0),
        default=16.0,
        show_default=True,
        metavar="PX",
        help="Leave faces narrower than this alone.",
    ),
)
