"""Commands and groups with help texts in sections, and the options that every command has.

``-q``, ``-v``, ``-y`` and ``-h`` work before and after the name of every command.
"""

import difflib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import click

from crsr_video.cli import settings_files

_NAMES_ELSEWHERE = {
    "-s": "--start",  # FFmpeg's -ss
    "--ss": "--start",
    "-t": "--duration",
    "--to": "--end",
    "-c": "--codec",
    "-r": "--recursive",
    "-f": "--overwrite",
    "--force": "--overwrite",
    "--out": "--output",
    "--quality": "--crf",
    "--resolution": "--scale",
    "--upscale": "--scale",
    "--zoom": "--scale",
    "--gpu": "--device",
    "--person": "--only",
    "--people": "--only",
    "--workers": "--jobs",
    "--time": "--at",
    "--download": "--fetch",
}
"""Names of options in other programs, and the options of this program."""

F = TypeVar("F", bound=Callable[..., Any])

GENERAL = "General"
"""Heading of the options that every command has."""
_SHOWS_ALL = "crsr_video.shows_all_options"
"""Key in `click.Context.meta` that says whether --help-all was given."""


@dataclass(slots=True)
class Common:
    """Values of the options that every command has."""

    quiet: bool = False
    verbosity: int = 0
    overwrite: bool = False

    def apply(self) -> None:
        """Set the log level."""
        level = [logging.WARNING, logging.INFO, logging.DEBUG][min(self.verbosity, 2)]
        logging.getLogger("crsr_video").setLevel(logging.ERROR if self.quiet else level)

    def announce(self, step: str) -> None:
        """Print the name of the step that begins, unless --quiet is set."""
        if not self.quiet:
            click.echo(f"crsr-video: {step}", err=True)


class Option(click.Option):
    """An option that is listed under a heading of the help text.

    Args:
        section: The heading.
        rare: Whether only --help-all lists the option.
    """

    def __init__(
        self, *arguments: Any, section: str = "Options", rare: bool = False, **attributes: Any
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.section, self.rare = section, rare


@dataclass(frozen=True, slots=True)
class Declaration:
    """The declaration of an option. Calling it with a command adds the option to the command.

    Attributes:
        names: Names of the option, and optionally the name of the parameter.
        attributes: Arguments of `Option`.
    """

    names: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, command: F) -> F:
        """Add the option to a command."""
        return click.option(*self.names, cls=Option, **self.attributes)(command)

    def but(self, **changes: Any) -> "Declaration":
        """Return the same option with other attributes, such as another help text."""
        return replace(self, attributes={**self.attributes, **changes})


def option(*names: str, **attributes: Any) -> Declaration:
    """Declare an option.

    Args:
        *names: Names of the option, and optionally the name of the parameter.
        **attributes: Arguments of `Option`.
    """
    return Declaration(names, attributes)


def section(title: str, *options: Declaration) -> Callable[[F], F]:
    """Return a decorator that adds options to a command under one heading of its help text."""

    def decorate(command: F) -> F:
        for declared in reversed(options):
            command = declared.but(section=title)(command)
        return command

    return decorate


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Merge the value of a common option with values given elsewhere on the command line."""
    common = context.ensure_object(Common)
    if parameter.name == "verbosity":
        common.verbosity += value
    elif value:
        setattr(common, str(parameter.name), True)
    common.apply()


def _show_all(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        context.meta[_SHOWS_ALL] = True
        click.echo(context.get_help())
        context.exit()


def overwrites(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    """Return whether -y was given, before the name of the command or after it."""
    return value or context.ensure_object(Common).overwrite


OVERWRITE = option(
    "-y", "--overwrite", is_flag=True, callback=overwrites, help="Replace files that exist."
)
_QUIET = option(
    "-q", "--quiet", is_flag=True, expose_value=False, callback=_keep, section=GENERAL,
    help="Print nothing but warnings and errors.",
)  # fmt: skip
_VERBOSE = option(
    "-v", "--verbose", "verbosity", count=True, expose_value=False, callback=_keep,
    section=GENERAL, show_default=False,
    help="Print more, such as the time of each stage; -vv prints everything.",
)  # fmt: skip
_ACCEPTED_OVERWRITE = option(
    "-y", "--overwrite", "overwrite", is_flag=True, expose_value=False, callback=_keep,
    section=GENERAL, hidden=True, help="Replace files that exist.",
)  # fmt: skip
_HELP_ALL = option(
    "--help-all", is_flag=True, is_eager=True, expose_value=False, callback=_show_all,
    section=GENERAL, help="Show this message with all options, and exit.",
)  # fmt: skip


def _parameter(declared: Declaration) -> click.Parameter:
    """Return the click parameter that a declaration creates."""

    @declared
    def holder() -> None: ...

    return click.command()(holder).params[0]


class Command(click.Command):
    """A command that has the common options, and lists options under headings in its help text."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.context_settings = {
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
            "show_default": True,
            **self.context_settings,
        }
        own = {name for parameter in self.params for name in parameter.opts}
        added = [_QUIET, _VERBOSE, *([] if "-y" in own else [_ACCEPTED_OVERWRITE])]
        if any(isinstance(parameter, Option) and parameter.rare for parameter in self.params):
            added.append(_HELP_ALL)
        self.params += [_parameter(declared) for declared in added]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, with default values from the settings files."""
        if not ctx.resilient_parsing and not isinstance(self, click.Group):
            settings_files.use(ctx)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            own = {name for parameter in self.params for name in parameter.opts}
            if error.option_name in ("-i", "--input") and isinstance(
                self.params[0], click.Argument
            ):
                text = f"leave out '{error.option_name}': names of inputs need no option"
                raise click.UsageError(text, ctx) from None
            usual = _NAMES_ELSEWHERE.get(error.option_name)
            if usual is None or usual not in own:
                raise
            text = f"there is no option '{error.option_name}': did you mean '{usual}'?"
            raise click.UsageError(text, ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section in the order of their first option."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            title = GENERAL
            if isinstance(parameter, Option):
                title = parameter.section
                if parameter.rare and not ctx.meta.get(_SHOWS_ALL):
                    continue
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(title, []).append(record)
        for title in sorted(sections, key=lambda title: title == GENERAL):
            with formatter.section(title):
                formatter.write_dl(sections[title])


class Group(Command, click.Group):
    """A group whose help text may list the commands under headings.

    Args:
        headings: Commands to add, by heading. Commands that are added later are listed under
            "Commands".
    """

    command_class = Command
    group_class = type

    def __init__(
        self,
        *arguments: Any,
        headings: Mapping[str, Sequence[click.Command]] | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(*arguments, **attributes)
        self._headings: dict[str, str] = {}
        for title, listed in (headings or {}).items():
            for item in listed:
                self.add_command(item)
                self._headings[str(item.name)] = title

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. Without any, print the help text and exit."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        if args[:1] in (["-h"], ["--help"]) and args[1:2] and args[1] in self.commands:
            args = ["help", *args[1:]]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return a command and its arguments. An unknown name is an error with a suggestion."""
        if args[0] == "help":  # As in other programs: help COMMAND
            if not args[1:]:
                click.echo(ctx.get_help())
                ctx.exit()
            args = [*args[1:], "--help"]
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            name, path = args[0], ctx.command_path
            alike = difflib.get_close_matches(name, self.commands, n=1)
            if alike:
                text = f"there is no command '{name}': did you mean '{path} {alike[0]}'?"
            elif "enhance" in self.commands and os.path.exists(name):
                text = f"'{name}' is not a command: did you mean '{path} enhance {name}'?"
            else:
                text = f"there is no command '{name}'"
            raise click.UsageError(text, ctx) from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """Return the names of the commands in the order in which they were added."""
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        shown = [item for item in self.commands.values() if not item.hidden]
        width = formatter.width - 6 - max(len(str(item.name)) for item in shown)
        for item in shown:
            title = self._headings.get(str(item.name), "Commands")
            row = (str(item.name), item.get_short_help_str(width))
            sections.setdefault(title, []).append(row)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
        super().format_options(ctx, formatter)


def command(name: str | None = None, **attributes: Any) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that turns a function into a command."""
    return click.command(name, Command, **attributes)


def group(kind: type[Group] = Group, **attributes: Any) -> Callable[[Callable[..., Any]], Group]:
    """Return a decorator that turns a function into a group."""
    return click.group(None, kind, **attributes)
