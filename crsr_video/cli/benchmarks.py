"""``crsr-video bench`` and its subcommands: measure speed."""

import json
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from crsr_video.cli import options, process
from crsr_video.cli.commands import Common, group, option, section
from crsr_video.cli.values import NameList, Number, NumberList, WholeNumber, one_of
from crsr_video.config import Precision

_SIZES = ("360p", "480p", "720p", "1080p")
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower")


_JSON = options.JSON_OBJECT
_CLIP_SIZES = option(
    "--sizes",
    metavar="NAMES",
    default=",".join(_SIZES),
    type=NameList(_SIZES),
    help="Measure clips of these sizes.",
)


@group(invoke_without_command=True, short_help="Measure speed, stage by stage.")
@section(
    "Options",
    _CLIP_SIZES,
    option(
        "--faces",
        default="0,1,4",
        type=NumberList(range(5), "a number from 0 to 4"),
        help="Measure clips with these numbers of faces.",
    ),
    option(
        "--preset",
        "presets",
        multiple=True,
        type=one_of(_PRESETS),
        default=("veryfast",),
        help="Encode with this preset of x264; may be repeated.",
    ),
    options.MODEL,
    options.DEVICE,
    options.PRECISION,
    options.HWACCEL,
    options.FRAMES,
    options.RUNS,
    option(
        "--startup/--no-startup",
        default=True,
        help="Measure the time to the first enhanced frame.",
    ),
    _JSON,
)
@click.pass_context
def bench(
    context: click.Context,
    /,
    sizes: tuple[str, ...],
    faces: tuple[int, ...],
    presets: tuple[str, ...],
    **values: Any,
) -> None:
    """Measure how fast generated clips are enhanced on this machine, stage by stage.

    Each result stands beside that of plain transcoding with the same encoder and settings, which
    is the limit. Run nothing else meanwhile.

    \b
    crsr-video bench
    crsr-video bench --sizes 1080p --faces 1 --preset veryfast --preset medium --json
    crsr-video bench --sizes 1080p --faces 1,4 --device cuda --hwaccel cuda
    """
    if context.invoked_subcommand is None:
        _measure(context.obj.quiet, sizes, faces, presets, **values)
        return
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    if given:
        text = f"{given[0]} must stand after '{context.invoked_subcommand}', if it has this option"
        raise click.UsageError(text, context)


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
    from crsr_video.bench import suite
    from crsr_video.bench.suite import BenchCase
    from crsr_video.runtime import placement as devices
    from crsr_video.track import litert

    litert.prepare_process()
    devices.place(device, precision)  # Fail before the first clip is generated.
    cases = [
        BenchCase(size, count, preset, frames, model, runs, device, precision, hwaccel)
        for preset in presets
        for size in sizes
        for count in faces
    ]
    startup_runs = runs if startup else 0
    figures = suite.run(cases, startup_runs=startup_runs, on_case=_announcer(quiet))
    click.echo(json.dumps(asdict(figures), indent=1) if as_json else suite.as_text(figures))


@bench.command("case", hidden=True)
@click.argument("job")
def case(job: str) -> None:
    """Measure one case in this process, for the command bench itself."""
    from crsr_video.bench import suite

    process.limit_library_threads(json.loads(job)["case"]["device"])
    click.echo(json.dumps(suite.measure_job(job)))


@bench.command("live", short_help="Measure live enhancement of a camera.")
@click.argument("clip", required=False, type=click.Path(path_type=Path, exists=True))
@section(
    "Options",
    options.SIZE.but(default="640x480", help="Play frames of this size."),
    options.RATE.but(default="30", help="Play this many frames per second."),
    option(
        "--faces",
        type=WholeNumber(0, 4),
        default=1,
        help="Play a clip with this many faces.",
    ),
    options.SECONDS.but(type=Number(2), default=60.0, help="Play for this time."),
    options.MAX_LATENCY.but(help="Pass this limit on to 'crsr-video live'."),
    options.MODEL,
    _JSON,
)
def live(
    clip: Path | None,
    size: tuple[int, int],
    rate: Fraction,
    faces: int,
    seconds: float,
    max_latency: float,
    model: str,
    as_json: bool,
) -> None:
    """Play CLIP, or a generated clip, as a camera would, and measure the result.

    Frames are written as raw video in NUT, at their own pace, into a pipe to 'crsr-video live',
    and read from another pipe.

    \b
    crsr-video bench live
    crsr-video bench live --size 1280x720 --rate 25 --seconds 30
    """
    from crsr_video.bench import live

    load = live.Load(
        width=size[0], height=size[1], rate=rate, faces=faces, seconds=seconds, source=clip
    )
    arguments = ["--max-latency", f"{max_latency:g}", "--model", model]
    figures = live.measure(load, arguments)
    click.echo(json.dumps(live.as_dict(figures)) if as_json else live.as_text(figures))


@bench.command("studio", short_help="Measure the preview of the studio.")
@section(
    "Options",
    _CLIP_SIZES.but(default="480p,720p,1080p"),
    options.SECONDS.but(type=Number(1, 10), default=8.0, help="Play each clip for this time."),
    option(
        "--scrub-seconds",
        type=Number(0),
        default=20.0,
        help="Ask for frames at random positions for this time.",
    ),
    _JSON,
)
@click.pass_obj
def studio(
    common: Common, sizes: tuple[str, ...], seconds: float, scrub_seconds: float, as_json: bool
) -> None:
    """Measure how soon and how smoothly the studio shows enhanced frames with one face.

    A studio is started, and asked through its HTTP API. Run nothing else meanwhile.

    \b
    crsr-video bench studio
    crsr-video bench studio --sizes 480p --scrub-seconds 600
    """
    from crsr_video.bench import studio

    figures = studio.measure(
        sizes, play_seconds=seconds, scrub_seconds=scrub_seconds, on_size=_announcer(common.quiet)
    )
    click.echo(studio.as_json(figures) if as_json else studio.as_text(figures))


@bench.command("networks", short_help="Measure the networks alone, in batches.")
@section(
    "Options",
    option(
        "--model",
        "models",
        metavar="NAME|PATH",
        multiple=True,
        default=("fast",),
        help="Measure these networks; may be repeated.",
    ),
    option(
        "--batch",
        "batches",
        default="1,8,64",
        type=NumberList(range(1, 1025), "a number of faces from 1 to 1024"),
        help="Enhance this many faces at a time.",
    ),
    option(
        "--sides",
        default="64",
        type=NumberList(range(16, 513, 4), "a multiple of 4 from 16 to 512", "PX,PX"),
        help="Measure crops of these sizes.",
    ),
    options.DEVICE,
    options.PRECISION,
    options.RUNS.but(default=5),
    _JSON,
)
@click.pass_obj
def networks(
    common: Common,
    models: tuple[str, ...],
    batches: tuple[int, ...],
    sides: tuple[int, ...],
    device: str,
    precision: Precision,
    runs: int,
    as_json: bool,
) -> None:
    """Measure how fast both networks enhance faces, one after the other as in the pipeline.

    Each result stands beside the fastest matrix product of the same device and precision. On a
    GPU, the time with copies stands beside the time without them. Run nothing else meanwhile.

    \b
    crsr-video bench networks
    crsr-video bench networks --sides 32,64,128 --batch 1,4 --model fast --json
    crsr-video bench networks --precision fp32 --device cuda
    """
    from crsr_video.bench import networks
    from crsr_video.machine import machine

    process.limit_library_threads(device)
    settings = networks.NetworkBenchSettings(
        models=models,
        batches=batches,
        sides=sides,
        device=device,
        precision=precision,
        runs=runs,
    )
    rows = networks.measure(settings, on_batch=_announcer(common.quiet))
    where = machine()
    if as_json:
        result = {"machine": where, "networks": [networks.as_dict(row) for row in rows]}
        click.echo(json.dumps(result, indent=1))
    else:
        click.echo(networks.as_text(where, rows))


@bench.command("plugin", short_help="Measure the effect inside FFmpeg.")
@section(
    "Options",
    option(
        "--size",
        type=one_of(_SIZES),
        default="1080p",
        help="Measure clips of this size.",
    ),
    options.MODEL.but(
        default="identity",
        help="Run these networks; the identity shows the cost of everything else.",
    ),
    options.FRAMES.but(type=WholeNumber(8)),
    options.RUNS,
    _JSON,
)
@click.pass_obj
def plugin(common: Common, size: str, frames: int, model: str, runs: int, as_json: bool) -> None:
    """Measure the time that the effect adds to FFmpeg's conversion to RGB and back.

    This needs FFmpeg with frei0r, and either the installed effect or a C compiler.

    \b
    crsr-video bench plugin
    crsr-video bench plugin --model fast --runs 5 --json
    """
    from crsr_video.errors import BenchError
    from crsr_video.track import litert

    if sys.platform == "win32":
        raise BenchError("the effect works on Linux and macOS only")
    from crsr_video.bench import plugin
    from crsr_video.machine import machine

    litert.prepare_process()
    if Path(model).is_file():  # The server runs in another folder.
        model = str(Path(model).absolute())
    settings = plugin.PluginBenchSettings(size=size, frames=frames, model=model, runs=runs)
    rows = plugin.measure(settings, on_film=_announcer(common.quiet))
    if as_json:
        films = [asdict(row) | {"overhead_ms": row.overhead_ms} for row in rows]
        click.echo(json.dumps({"machine": machine(), "settings": asdict(settings), "films": films}))
    else:
        click.echo(f"{size}, model {model}; milliseconds per frame\n\n{plugin.as_text(rows)}")


def _announcer(quiet: bool) -> Any:
    def announce(case: str) -> None:
        if not quiet:
            click.echo(f"measuring {case}", err=True)

    return announce
