"""Results that must be files, where other commands also write to standard output."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

_TOLD = "'-' is no file, and this does not go to standard output (a file of that name is ./-)"
_OUTPUTS = ("-o", "--output", "--out")


class NamedFile(click.Path):
    """A path that is a name: "-" is refused, which other programs take for standard output."""

    def __init__(self, **choices: Any) -> None:
        super().__init__(path_type=Path, **choices)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises: click.BadParameter: there is no such name."""
        if str(value) == "-":
            self.fail(_TOLD, param, ctx)
        return super().convert(value, param, ctx)


def refuse_dash(arguments: Sequence[str]) -> None:
    """Look at arguments that are passed on to a command with options of its own.

    Raises: click.UsageError: the output among them is no file.
    """
    after_output = any(a in _OUTPUTS and b == "-" for a, b in pairwise(arguments))
    if after_output or {"-o-", "--output=-", "--out=-"} & set(arguments):
        raise click.UsageError(f"Invalid value for '-o': {_TOLD}")
