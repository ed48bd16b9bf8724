"""Options that choose persons: whom to enhance, and how much."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from crsr_video.config import PersonSettings, add_person_settings, parse_track_ids
from crsr_video.errors import ConfigError


def face_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --tracks and `person_options`, which become fields of `Config`."""
    return click.option(
        "--tracks",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Take the faces from a file that 'crsr-video tracks' wrote of this video.",
    )(person_options(command))


def person_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --face, --only and --max-faces, which become fields of `Config`."""
    for option in reversed(
        (
            click.option(
                "--face",
                "people",
                metavar="ID=WHAT",
                multiple=True,
                callback=_people,
                help="For some persons: 2=off, or 3,5=strength:0.5; may be repeated.",
            ),
            click.option(
                "--only",
                metavar="ID,ID",
                callback=_only,
                help="Enhance these persons and nobody else: 1,4 or 1,6-9.",
            ),
            click.option(
                "--max-faces",
                metavar="N",
                type=click.IntRange(min=1),
                help="Enhance no more than N faces at a time, the largest.",
            ),
        )
    ):
        command = option(command)
    return command


def _people(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[int, PersonSettings]:
    """Return the settings by track ID from words of the form ID=SETTING."""
    people: dict[int, PersonSettings] = {}
    with _refusing(context, parameter):
        for value in values:
            add_person_settings(people, value)
    return people


def _only(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> frozenset[int] | None:
    """Return the track IDs of a list with commas and ranges."""
    if value is None:
        return None
    with _refusing(context, parameter):
        return frozenset(parse_track_ids(value))


@contextmanager
def _refusing(context: click.Context, parameter: click.Parameter) -> Iterator[None]:
    """Say of which option something is wrong."""
    try:
        yield
    except ConfigError as error:
        raise click.BadParameter(str(error), context, parameter) from error
