"""``crsr-video config`` shows the settings that a command would use, and the origin of each."""

import json
from pathlib import Path

import click

from crsr_video.cli import options, settings_files
from crsr_video.cli.commands import command, option, section
from crsr_video.cli.values import one_of

_COMMANDS = ("enhance", "preview", "tracks", "compare", "live", "studio", "bench")


@command("config", short_help="Show settings, and where each comes from.")
@click.argument("source", metavar="[INPUT]", required=False, type=click.Path(path_type=Path))
@section(
    "Options",
    option(
        "--command",
        "name",
        type=one_of(_COMMANDS),
        default="enhance",
        help="Show the settings of this command.",
    ),
    option("--preset-name", "preset", metavar="NAME", help="Show them with this preset."),
    options.JSON_OBJECT,
)
@click.pass_context
def config(
    context: click.Context, /, source: Path | None, name: str, preset: str | None, as_json: bool
) -> None:
    """Show the settings of a command for INPUT, and the file that each comes from.

    \b
    crsr-video config
    crsr-video config holiday.mp4 --preset-name wedding
    """
    program = context.find_root().command
    assert isinstance(program, click.Group)
    shown = program.commands[name]
    found = settings_files.settings_of(shown, context, source, preset)
    files = [settings_files.user_file()]
    if source is not None:
        files.append(settings_files.beside(source))
    rows = []
    for parameter in shown.params:
        if isinstance(parameter, click.Option) and parameter.expose_value:
            default = parameter.get_default(context)
            if not isinstance(default, bool | int | float | str):
                default = None  # Some versions of click return a sentinel if there is no default.
            setting = found.get(str(parameter.name), settings_files.Setting(default, "default"))
            rows.append((max(parameter.opts, key=len), setting.value, setting.origin))
    if as_json:
        facts = {option: {"value": value, "origin": origin} for option, value, origin in rows}
        click.echo(json.dumps({"files": [str(path) for path in files], "options": facts}, indent=1))
        return
    for path in files:
        click.echo(f"settings file: {path}{'' if path.is_file() else ' (does not exist)'}")
    width = max(len(option) for option, _, _ in rows)
    for option_name, value, origin in rows:
        text = "" if value is None else str(value)
        click.echo(f"{option_name:<{width}}  {text:<12}  {origin}")
