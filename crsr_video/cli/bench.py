"""``crsr-video bench``: how fast it is here."""

import json
from typing import Any

import click
from click.core import ParameterSource

from crsr_video.cli.enhancing import placement_options
from crsr_video.config import DECODING, Precision

_SIZES = ("360p", "720p", "1080p")
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower")


def _sizes(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Names of sizes, separated by commas."""
    names = tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in _SIZES:
            told = f"'{name}' is not one of {', '.join(_SIZES)}"
            raise click.BadParameter(told, context, parameter)
    return names


def _counts(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Numbers of faces, separated by commas."""
    names = [name.strip() for name in value.split(",")]
    for name in names:
        if name not in ("0", "1", "2", "3", "4"):
            raise click.BadParameter(f"'{name}' is no number from 0 to 4", context, parameter)
    return tuple(int(name) for name in names)


@click.group(invoke_without_command=True, short_help="Measure speed, stage by stage.")
@click.option("--sizes", default=",".join(_SIZES), show_default=True, callback=_sizes)
@click.option("--faces", default="0,1,4", show_default=True, callback=_counts, help="In view.")
@click.option(
    "--preset",
    "presets",
    multiple=True,
    type=click.Choice(_PRESETS),
    default=("veryfast",),
    show_default=True,
    help="Of the x264 encoder; may be repeated.",
)
@click.option("--frames", type=click.IntRange(min=12), default=100, show_default=True)
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--model", metavar="NAME|PATH", default="fast", show_default=True)
@placement_options
@click.option(
    "--hwaccel",
    type=click.Choice(DECODING),
    default=DECODING[0],
    show_default=True,
    help="Decode on a device if it is there, plainly and to enhance.",
)
@click.option("--startup/--no-startup", default=True, help="Measure the start, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def bench(
    context: click.Context,
    /,
    sizes: tuple[str, ...],
    faces: tuple[int, ...],
    presets: tuple[str, ...],
    **choices: Any,
) -> None:
    """Measure how fast videos are enhanced here, stage by stage, on a clip made for it.

    Beside each figure stands what plain transcoding takes with the same encoder, settings and
    code: the limit. Let nothing else run meanwhile.

    \b
    crsr-video bench
    crsr-video bench --sizes 1080p --faces 1 --preset veryfast --preset medium --json
    crsr-video bench --sizes 1080p --faces 1,4 --device cuda --hwaccel cuda
    """
    if context.invoked_subcommand is None:
        _measure(bool(context.obj), sizes, faces, presets, **choices)
        return
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    if given:
        told = f"{given[0]} belongs after '{context.invoked_subcommand}', if it takes that"
        raise click.UsageError(told, context)


def _measure(
    quiet: bool,
    sizes: tuple[str, ...],
    faces: tuple[int, ...],
    presets: tuple[str, ...],
    *,
    frames: int,
    runs: int,
    model: str,
    device: str,
    precision: Precision,
    hwaccel: str,
    startup: bool,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from crsr_video import bench
    from crsr_video.runtime import devices
    from crsr_video.track import litert

    litert.prepare_process()
    devices.place(device, precision)  # Refused now, not after the first clip was made.
    cases = [
        bench.Case(size, count, preset, frames, model, runs, device, precision, hwaccel)
        for preset in presets
        for size in sizes
        for count in faces
    ]

    def say(what: str) -> None:
        if not quiet:
            click.echo(f"measuring {what}", err=True)

    figures = bench.run(cases, startup_runs=runs if startup else 0, on_case=say)
    click.echo(json.dumps(asdict(figures), indent=1) if as_json else bench.as_text(figures))
