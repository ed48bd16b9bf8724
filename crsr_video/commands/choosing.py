"""Options that choose persons: whom to enhance, and how much."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from crsr_video.config import FaceSettings

_FORMS = "off, on, or strength:0 to strength:1"
_MOST = 100_000
"""Faces in a range."""


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
                "faces",
                metavar="ID=WHAT",
                multiple=True,
                callback=_faces,
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


def _faces(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[int, FaceSettings]:
    """Settings by id from ID=WHAT."""
    found: dict[int, FaceSettings] = {}
    try:
        for value in values:
            name, equals, what = value.partition("=")
            if not equals:
                raise click.BadParameter(f"'{value}' is not of the form ID=WHAT, such as 2=off")
            settings = _settings(what)
            for number in _numbers(name):
                if number in found:
                    raise click.BadParameter(f"face {number} is given twice")
                found[number] = settings
    except click.BadParameter as error:
        error.ctx, error.param = context, parameter
        raise
    return found


def _only(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> frozenset[int] | None:
    """Ids from a list with commas and ranges."""
    if value is None:
        return None
    try:
        return frozenset(_numbers(value))
    except click.BadParameter as error:
        error.ctx, error.param = context, parameter
        raise


def _numbers(text: str) -> list[int]:
    """The numbers of several faces: 1,4,6-9."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = _number(first if dash and first.strip() else part)
        high = _number(last) if dash else low
        if not 0 <= high - low < _MOST:
            raise click.BadParameter(f"'{part}' is no range of faces, such as 6-9")
        numbers += range(low, high + 1)
    return numbers


def _number(text: str) -> int:
    """The number of a face."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10 and int(digits) > 0):
        raise click.BadParameter(f"'{text}' is no number of a face: they are 1, 2, 3 and so on")
    return int(digits)


def _settings(what: str) -> FaceSettings:
    word, colon, amount = what.strip().partition(":")
    if word in ("on", "off") and not colon:
        return FaceSettings(enabled=word == "on")
    if word != "strength" or not colon:
        raise click.BadParameter(f"'{what}' is nothing to do with a face: it can be {_FORMS}")
    try:
        strength = float(amount)
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 1:  # false for NaN
        raise click.BadParameter(f"strength is a number from 0 to 1, not '{amount}'")
    return FaceSettings(strength=strength)
