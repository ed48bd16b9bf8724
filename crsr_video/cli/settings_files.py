"""Settings files: values of options from ``crsr-video.toml``, with named presets.

The user's own file is in the configuration folder of the system. Another one may lie beside the
input. A value on the command line takes precedence over a preset, a preset over the file beside the
input, and that file over the user's own file.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from platformdirs import user_config_dir

from crsr_video.errors import ConfigError
from crsr_video.files import open_regular

NAME = "crsr-video.toml"
_MAX_BYTES = 1 << 20
_PRESETS = "preset"
"""Name of the table that contains the presets."""
_PRIVATE = frozenset(("output", "overwrite", "report", "model", "tracks", "ray", "sheet", "draw"))
"""Options that name files and machines. A file beside the input may come from somebody else, so it
cannot set them."""
_META = "crsr_video.settings"


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of an option, and where it comes from."""

    value: Any
    origin: str


@dataclass(slots=True)
class _Given:
    """Input and preset that the command line names, and the origins of the settings in use."""

    source: Path | None = None
    preset: str | None = None
    origins: tuple[str, ...] = ()
    """Files and presets that values were taken from."""


def user_file() -> Path:
    """Return the path of the user's settings file. The file may not exist."""
    return Path(user_config_dir("crsr-video", appauthor=False)) / NAME


def beside(source: Path) -> Path:
    """Return the path of the settings file that belongs to an input."""
    return (source if os.path.isdir(source) else source.parent) / NAME


def keep_source(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Use the settings file beside the input that the value of an argument names."""
    source = value[0] if isinstance(value, tuple) else value
    if source is not None and str(source) != "-":
        _given(context).source = Path(source)
        use(context)
    return value


def keep_preset(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Use a preset of the settings files."""
    if value is not None:
        _given(context).preset = value
        use(context)
    return value


def use(context: click.Context) -> None:
    """Take default values of a command's options from the settings files."""
    given = _given(context)
    found = settings_of(context.command, context, given.source, given.preset)
    context.default_map = {name: setting.value for name, setting in found.items()}
    given.origins = tuple(dict.fromkeys(setting.origin for setting in found.values()))


def origins_of(context: click.Context) -> tuple[str, ...]:
    """Return the files and presets that options of a command come from."""
    return _given(context).origins


def settings_of(
    command: click.Command, context: click.Context, source: Path | None, preset: str | None
) -> dict[str, Setting]:
    """Return the settings of a command from all files, by name of the parameter.

    Args:
        command: The command.
        context: Click context of the command, or of the command that asks for its settings.
        source: Input of the command, if it has one.
        preset: Name of a preset.

    Raises:
        ConfigError: A file is damaged, an option or its value is unknown, or there is no such
            preset.
    """
    files = [(user_file(), False)]
    if source is not None:
        files.append((beside(source), True))
    found: dict[str, Setting] = {}
    presets: dict[str, Setting] = {}
    names: set[str] = set()
    for path, is_foreign in files:
        tables = _read(path)
        own = tables.get(str(command.name), {})
        found |= dict(_settings(command, context, own, str(path), is_foreign=is_foreign))
        known = tables.get(_PRESETS, {})
        names |= known.keys()
        if preset in known:
            origin = f"preset {preset} of {path}"
            chosen = _settings(command, context, known[preset], origin, is_foreign=is_foreign)
            presets |= dict(chosen)
    if preset is not None and preset not in names:
        there = f"the presets are {', '.join(sorted(names))}" if names else "there are no presets"
        places = " and ".join(str(path) for path, _ in files)
        raise ConfigError(f"there is no preset '{preset}' in {places}: {there}")
    return found | presets


def _given(context: click.Context) -> _Given:
    given: _Given = context.meta.setdefault(_META, _Given())
    return given


def _read(path: Path) -> Mapping[str, Any]:
    """Return the tables of a settings file, or an empty mapping if there is no file."""
    try:
        with open_regular(path, follow_links=True) as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ConfigError(f"{path}: is too large for a settings file")
        tables = tomllib.loads(text.decode())
    except FileNotFoundError:
        return {}
    except (OSError, NotADirectoryError) as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no valid TOML: {error}") from error
    for name, table in (*tables.items(), *dict(tables.get(_PRESETS, {})).items()):
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: '{name}' must be a table such as [enhance]")
    return tables


def _settings(
    command: click.Command,
    context: click.Context,
    table: Mapping[str, Any],
    origin: str,
    *,
    is_foreign: bool,
) -> Iterator[tuple[str, Setting]]:
    """Yield the names of parameters and their settings from a table."""
    options = {
        name.lstrip("-"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    for key, value in table.items():
        parameter = options.get(key)
        if parameter is None or parameter.name is None:
            raise ConfigError(f"{origin}: '{command.name}' has no option --{key}")
        if is_foreign and parameter.name in _PRIVATE:
            raise ConfigError(
                f"{origin}: --{key} cannot be set beside an input, only in {user_file()}"
            )
        plain = _plain(parameter, value)
        try:
            parameter.type_cast_value(context, plain)
        except click.BadParameter as error:
            raise ConfigError(f"{origin}: {key}: {error.message}") from error
        yield parameter.name, Setting(plain, origin)


def _plain(parameter: click.Option, value: Any) -> Any:
    """Return a value of a TOML file as the command line would give it."""
    if parameter.multiple:
        values = value if isinstance(value, list) else [value]
        return [str(item) for item in values]
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, bool) else str(value)
