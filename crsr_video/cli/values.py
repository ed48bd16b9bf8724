"""Values of options that need more than a type."""

import os
import re
from fractions import Fraction
from pathlib import Path

import click

from crsr_video.config import REPORTS


def bits(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Bits a second from 4000000, 800k or 4M."""
    if value is None:
        return None
    text = value.strip().lower()
    factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text[-1:], 1)
    try:
        number = float(text.rstrip("kmg")) * factor
    except ValueError:
        number = 0.0
    if not 1 <= number < 2**31:  # false for NaN too; FFmpeg's own limit
        raise click.BadParameter(f"'{value}' is no bit rate: write 800k or 4M", context, parameter)
    return round(number)


def pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Split KEY=VALUE options."""
    for value in values:
        if "=" not in value or value.startswith("="):
            raise click.BadParameter(f"'{value}' is not of the form KEY=VALUE", context, parameter)
    return dict(value.split("=", 1) for value in values)


def is_folder(path: str) -> bool:
    """Whether a path stands for a folder: there is one, or it ends as only a folder's may."""
    return path.endswith(("/", os.sep)) or os.path.isdir(path)  # noqa: PTH112 - never raises


def reports(
    context: click.Context, parameter: click.Parameter, values: tuple[Path, ...]
) -> tuple[Path, ...]:
    """Files whose endings say what they are to hold."""
    for value in values:
        if value.suffix.lower() not in REPORTS:
            told = f"'{value}' ends in neither .json nor .html"
            raise click.BadParameter(told, context, parameter)
    return values


def size(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """Width and height from 640x480."""
    if value is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", value.strip().lower(), re.ASCII)
    if found is None:
        raise click.BadParameter(f"'{value}' is no size: write 640x480", context, parameter)
    return int(found[1]), int(found[2])


def rate(context: click.Context, parameter: click.Parameter, value: str | None) -> Fraction | None:
    """Frames a second from 30, 29.97 or 30000/1001."""
    if value is None:
        return None
    try:
        number = Fraction(value.strip())
    except (ValueError, ZeroDivisionError):
        number = Fraction(0)
    if not 0 < number <= 1000:
        raise click.BadParameter(
            f"'{value}' is no frame rate: write 30 or 30000/1001", context, parameter
        )
    return number
