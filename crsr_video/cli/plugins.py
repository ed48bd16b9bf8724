"""``crsr-video plugin``, ``ffmpeg-args`` and ``serve``: the effect for editors and FFmpeg."""

import json
import os
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crsr_video.cli import options, process
from crsr_video.cli.commands import Common, command, group, option, section
from crsr_video.cli.values import FaceWidth, Time, WholeNumber

if TYPE_CHECKING:
    from crsr_video.plugins.status import Status


@group(short_help="Install the effect for FFmpeg, GStreamer and editors.")
def plugin() -> None:
    """Install the effect "crsr" for FFmpeg, GStreamer, Kdenlive and Shotcut.

    \b
    crsr-video plugin install
    ffmpeg -i in.mp4 -vf frei0r=crsr:0.8 out.mp4
    crsr-video ffmpeg-args in.mp4            # the same with exact colours
    """


@plugin.command(short_help="Compile and install the effect, or update it.")
@option(
    "--shotcut",
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Install for Shotcut too; FOLDER is where it is installed, such as /usr or Shotcut.app.",
)
@option(
    "--command",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Let the effect start this crsr-video.  [default: this one]",
)
@option("--force", is_flag=True, help="Replace files that crsr-video did not write.")
def install(shotcut: Path | None, command: Path | None, force: bool) -> None:
    """Compile the effect for this machine, and install it for FFmpeg and editors.

    This needs a C compiler and frei0r's header file.
    """
    from crsr_video.plugins import installation

    done = installation.install(
        installation.user_places(shotcut), command=_program(command), force=force
    )
    for path in done.files:
        click.echo(f"{'wrote' if path in done.written else 'is up to date:'} {path}")
    for path in done.removed:
        click.echo(f"removed {path}")
    click.echo("try it: ffmpeg -i in.mp4 -vf frei0r=crsr:0.8 out.mp4")
    if shotcut is None and shutil.which("shotcut"):
        click.echo("for Shotcut, run this again with --shotcut FOLDER")


@plugin.command(short_help="Show what is installed, and whether it works.")
@options.JSON_OBJECT
def status(as_json: bool) -> None:
    """Show what is installed, whether it loads, and what FFmpeg and melt would load.

    Exits with 1 if the effect does not work, or comes from another version.
    """
    from crsr_video.plugins import installation
    from crsr_video.plugins import status as plugin_status

    found = plugin_status.status(installation.user_places())
    server_running = _server_is_running()
    if as_json:
        click.echo(json.dumps(_status_facts(found, server_running), indent=2))
    else:
        click.echo("\n".join(_status_lines(found, server_running)))
    sys.exit(0 if found.works else 1)


@plugin.command(short_help="Remove the installed files.")
@option("--force", is_flag=True, help="Also remove files that were changed since.")
def uninstall(force: bool) -> None:
    """Remove the files that install wrote, and nothing else."""
    from crsr_video.plugins import installation

    done = installation.uninstall(installation.user_places(), force=force)
    for path in done.files:
        click.echo(f"removed {path}")
    for path in done.kept:
        click.echo(f"kept, because it was changed since: {path}", err=True)


def _program(chosen: Path | None) -> Path:
    """The crsr-video program that the effect should start."""
    from crsr_video.errors import PluginError

    running = Path(sys.argv[0])
    beside_python = Path(sys.executable).parent / "crsr-video"
    for path in (chosen, running if running.name.startswith("crsr-video") else None, beside_python):
        if path is not None and path.is_file() and os.access(path, os.X_OK):
            return path.absolute()  # Links stay unresolved: they may lead into an environment.
    raise PluginError("there is no program crsr-video beside this Python; name it with --command")


def _server_is_running() -> bool:
    from crsr_video.errors import ServerError
    from crsr_video.server import socket_path

    try:
        path = socket_path()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2.0)
            connection.connect(str(path))
    except (OSError, ServerError):
        return False
    return True


def _status_facts(found: "Status", server_running: bool) -> dict[str, Any]:
    effect = found.effect
    return {
        "works": found.works,
        "package_version": found.package,
        "installed_version": found.installed,
        "current": found.current,
        "command": found.command,
        "command_found": found.runnable,
        "files": [{"path": str(file.path), "state": file.state} for file in found.files],
        "loads": effect is not None,
        "trouble": found.trouble,
        "effect": None
        if effect is None
        else {
            "name": effect.name,
            "version": effect.version,
            "parameters": list(effect.parameters),
        },
        "server_running": server_running,
        "hosts": [
            {
                "program": host.program,
                "path": None if host.path is None else str(host.path),
                "version": host.version,
                "able": host.able,
                "effect": None if host.effect is None else str(host.effect),
            }
            for host in found.hosts
        ],
    }


def _status_lines(found: "Status", server_running: bool) -> list[str]:
    lines = []
    if found.installed is None:
        lines.append("not installed; run 'crsr-video plugin install'")
    else:
        same = "the same as this crsr-video" if found.current else "not of this crsr-video"
        lines.append(f"installed by crsr-video {found.installed}, {same} ({found.package})")
        lines += [f"{file.state:<8} {file.path}" for file in found.files]
        missing = "" if found.runnable else ", which no longer exists"
        lines.append(f"starts   {found.command}{missing}")
    if found.effect is not None:
        lines.append(f"loads    version {found.effect.version}")
    elif found.installed is not None:
        lines.append(f"does not load: {found.trouble}")
    state = "is running" if server_running else "is not running; the first effect starts it"
    lines.append(f"server   {state}")
    for host in found.hosts:
        if host.path is None:
            lines.append(f"{host.program:<9} is not installed")
        else:
            missing = "nothing: crsr is not found" if host.able else "no such effect"
            lines.append(f"{host.program:<9} {host.version} loads {host.effect or missing}")
    return lines


@command(
    "ffmpeg-args",
    short_help="Print an FFmpeg command that enhances a video with exact colours.",
)
@options.SOURCE
@section(
    "Output",
    options.OUTPUT.but(help="Let the command write the result here.  [default: NAME.enhanced.EXT]"),
    options.OVERWRITE.but(help="Let the command replace OUTPUT if it exists."),
    options.CODEC.but(help="Use this FFmpeg encoder.  [default: the codec of INPUT]"),
    options.CRF,
    options.PRESET,
    option(
        "--pipe",
        is_flag=True,
        help="Use a pipe through crsr-video instead of the effect, which keeps high bit depths.",
    ),
)
@section(
    "Faces",
    options.STRENGTH,
    options.REGION.but(
        default=None,
        help="Enhance the whole head, with hair, ears and neck, or only the face."
        "  [default: face; head with --pipe]",
    ),
    options.MIN_FACE.but(type=FaceWidth(256)),
    options.MODEL,
    options.TRACKS.but(type=click.Path(path_type=Path, exists=True, dir_okay=False)),
    option(
        "--persons",
        default="",
        metavar="IDS",
        help="Enhance only these track IDs, as 1,4, or change them, as 2:off.",
    ),
    option("--compare", is_flag=True, help="Show the left half before and the right half after."),
    option("--debug", is_flag=True, help="Draw boxes and landmarks of the faces."),
)
@click.pass_obj
def ffmpeg_args(common: Common, /, source: Path, **values: Any) -> None:
    """Print a command for a shell that enhances INPUT with FFmpeg and the effect.

    \b
    crsr-video ffmpeg-args in.mp4 --strength 0.8
    eval "$(crsr-video ffmpeg-args in.mp4 -o out.mp4)"
    crsr-video ffmpeg-args in.mov --pipe
    """
    from crsr_video.config import OutputSettings
    from crsr_video.io.sources import opening
    from crsr_video.plugins import ffmpeg

    opening.check_path(source)
    _check_effect_options(values)
    settings = OutputSettings(codec=values["codec"], crf=values["crf"], preset=values["preset"])
    shared: dict[str, Any] = {"settings": settings, "overwrite": values["overwrite"]}
    if values["pipe"]:
        words = _pipe_words(values)
        command = ffmpeg.through_pipe(source, values["output"], options=words, **shared)
    else:
        parameters = _effect_parameters(values)
        command = ffmpeg.through_effect(source, values["output"], parameters=parameters, **shared)
    if not common.quiet:
        for notice in command.notices:
            click.echo(f"crsr-video: {notice}", err=True)
    click.echo(command.line)


def _check_effect_options(values: dict[str, Any]) -> None:
    """Check the values for the effect before a command is printed.

    The effect's server would refuse a wrong value only while FFmpeg runs, and every frame would
    then pass unchanged.
    """
    from crsr_video import weights
    from crsr_video.config import EnhancerConfig
    from crsr_video.errors import ConfigError
    from crsr_video.parsing import parse_people
    from crsr_video.track import tracks_file

    model = values["model"]
    EnhancerConfig.from_options(
        strength=values["strength"], min_face=values["min_face"], model=model
    )
    if not values["persons"].isprintable():
        raise ConfigError("--persons must be one line")
    parse_people(values["persons"])
    if values["tracks"] is not None:
        tracks_file.read(values["tracks"])
    shipped = {item.name for item in weights.shipped()} | {weights.IDENTITY}
    if model not in shipped and not Path(model).is_file():
        raise ConfigError(f"{weights.path_of(model)}: no such file")


def _effect_parameters(values: dict[str, Any]) -> Any:
    """Parameters of the effect, with absolute paths because its server runs in another folder."""
    from crsr_video.plugins.ffmpeg_filters import EffectParameters

    model, tracks = Path(values["model"]), values["tracks"]
    return EffectParameters(
        strength=values["strength"],
        min_face=values["min_face"],
        model=str(model.absolute()) if model.is_file() else values["model"],
        compare=values["compare"],
        debug=values["debug"],
        tracks="" if tracks is None else str(tracks.absolute()),
        persons=values["persons"],
        head=values["region"] == "head",
    )


def _pipe_words(values: dict[str, Any]) -> tuple[str, ...]:
    """Options of ``crsr-video enhance`` that differ from its defaults."""
    from crsr_video.errors import ConfigError

    for name in ("compare", "debug", "tracks", "persons"):
        if values[name]:
            raise ConfigError(f"--{name} works only with the effect, not with --pipe")
    words = [] if values["region"] is None else ["--region", str(values["region"])]
    for name, default in (("strength", 1.0), ("min_face", 16.0), ("model", "fast")):
        if values[name] != default:
            text = values[name] if name == "model" else f"{values[name]:g}"
            words += [f"--{name.replace('_', '-')}", text]
    return tuple(words)


@command(short_help="Run the server that effects in editors and FFmpeg use.")
@option(
    "--idle",
    type=Time(),
    default=60.0,
    help="Stop after this time without a client, or ten times as long without a frame; 0: never.",
)
@options.MODEL.but(help="Load these networks at the start.")
@option(
    "--threads",
    type=WholeNumber(1, 64),
    default=max(1, min(4, (os.cpu_count() or 1) // 2)),
    help="Enhance at most this many frames at the same time.",
)
@option(
    "--socket",
    "path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Listen on this socket.  [default: server.sock in your runtime folder]",
)
@click.pass_obj
def serve(common: Common, /, path: Path | None, idle: float, model: str, threads: int) -> None:
    """Enhance frames for other programs of this user.

    Effects start the server themselves; each user has one. Ctrl-C or SIGTERM stops it.
    """
    from crsr_video.server.transport import ServerSocket, socket_path

    with ServerSocket(socket_path(path)) as place:
        # The socket exists before torch is loaded, so that nobody starts a second server.
        from crsr_video.errors import FaceModelError
        from crsr_video.server.service import Server
        from crsr_video.track import litert

        process.limit_library_threads("auto")
        process.finish_loading()
        with (
            Server(place, idle=idle, threads=threads) as server,
            process.handled_signals(lambda *_: server.stop()),
        ):
            if not common.quiet:
                click.echo(f"crsr-video: serving at {place.path}", err=True)
            # If a model is missing, the client that needs it gets the error.
            with suppress(FaceModelError):
                litert.prepare_process(fetch=False)
            server.preload(model)
            server.run()
