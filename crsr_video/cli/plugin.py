"""``crsr-video plugin``: the effect for FFmpeg, Kdenlive, Shotcut and whatever loads frei0r."""

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from crsr_video.plugins.status import Status


@click.group(short_help="Install the effect for FFmpeg, Kdenlive and Shotcut.")
def plugin() -> None:
    """The enhancement as an effect "crsr" inside FFmpeg, Kdenlive, Shotcut and others.

    \b
    crsr-video plugin install
    ffmpeg -i in.mp4 -vf frei0r=crsr:0.8 out.mp4
    crsr-video ffmpeg-args in.mp4            the same, with colours kept
    """


_shotcut = click.option(
    "--shotcut",
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where Shotcut is, such as /usr or Shotcut.app: its filters lie inside.",
)


@plugin.command(short_help="Compile and install the effect, or bring it up to date.")
@_shotcut
@click.option(
    "--command",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The crsr-video that the effect starts.  [default: this one]",
)
@click.option("--force", is_flag=True, help="Replace files that are not ours.")
def install(shotcut: Path | None, command: Path | None, force: bool) -> None:
    """Compile the effect for this machine, and put it where FFmpeg and editors look for it.

    Needs a C compiler and frei0r's header file.
    """
    from crsr_video.plugins import install as installing
    from crsr_video.plugins import places

    here = places.places(shotcut)
    done = installing.install(here, command=_command(command), force=force)
    for path in done.files:
        click.echo(f"{'wrote' if path in done.written else 'is there already:'} {path}")
    for path in done.removed:
        click.echo(f"removed {path}")
    click.echo("try it: ffmpeg -i in.mp4 -vf frei0r=crsr:0.8 out.mp4")
    if shotcut is None and shutil.which("shotcut"):
        click.echo("for Shotcut, which has no folder of its users' own: see --shotcut")


@plugin.command(short_help="Say what is installed, and whether it works.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def status(as_json: bool) -> None:
    """Say what is installed, whether it loads, and what FFmpeg and melt would load.

    Exits with 1 if the effect does not work, or is of another version.
    """
    from crsr_video.plugins import places
    from crsr_video.plugins import status as looking

    found = looking.status(places.places())
    running = _server()
    if as_json:
        click.echo(json.dumps(_facts(found, running), indent=2))
    else:
        for line in _lines(found, running):
            click.echo(line)
    sys.exit(0 if found.works else 1)


@plugin.command(short_help="Remove what install wrote.")
@click.option("--force", is_flag=True, help="Remove files that were changed since, too.")
def uninstall(force: bool) -> None:
    """Remove what install wrote, and nothing else."""
    from crsr_video.plugins import install as installing
    from crsr_video.plugins import places

    done = installing.uninstall(places.places(), force=force)
    for path in done.files:
        click.echo(f"removed {path}")
    for path in done.kept:
        click.echo(f"left alone, since it was changed: {path}", err=True)


def _command(asked: Path | None) -> Path:
    """The very program that is running, for the effect to start.

    Raises: PluginError: it is not running as a program of its own.
    """
    from crsr_video.errors import PluginError

    name = Path(sys.argv[0])
    beside = Path(sys.executable).parent / "crsr-video"
    for path in (asked, name if name.name.startswith("crsr-video") else None, beside):
        if path is not None and path.is_file() and os.access(path, os.X_OK):
            return path.absolute()  # Not resolved: a link into an environment has to stay one.
    raise PluginError("there is no program crsr-video beside this Python; name it with --command")


def _server() -> bool:
    """Whether the enhancement server runs."""
    from crsr_video.errors import ServerError
    from crsr_video.server import socket_path

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(2.0)
            asking.connect(str(socket_path()))
    except (OSError, ServerError):
        return False
    return True


def _facts(found: "Status", running: bool) -> dict[str, Any]:
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
        "server_running": running,
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


def _lines(found: "Status", running: bool) -> list[str]:
    lines = []
    if found.installed is None:
        lines.append("not installed; 'crsr-video plugin install' does it")
    else:
        same = "the same as this crsr-video" if found.current else "not of this crsr-video"
        lines.append(f"installed by crsr-video {found.installed}, {same} ({found.package})")
        lines += [f"{file.state:<8} {file.path}" for file in found.files]
        there = "" if found.runnable else ", which is not there any more"
        lines.append(f"starts   {found.command}{there}")
    if found.effect is not None:
        lines.append(f"loads    version {found.effect.version}")
    elif found.installed is not None:
        lines.append(f"does not load: {found.trouble}")
    if running is not None:
        lines.append(
            f"server   {'runs' if running else 'does not run; the first effect starts it'}"
        )
    for host in found.hosts:
        if host.path is None:
            lines.append(f"{host.program:<8} is not installed")
        else:
            loads = host.effect or ("nothing: crsr is not found" if host.able else "no such effect")
            lines.append(f"{host.program:<8} {host.version} loads {loads}")
    return lines
