"""``crsr-video bench plugin``: what the effect costs in FFmpeg."""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from crsr_video.bench.plugin import PluginFigures


@click.command("plugin", short_help="Measure what the effect costs in FFmpeg.")
@click.option(
    "--size", type=click.Choice(["360p", "720p", "1080p"]), default="1080p", show_default=True
)
@click.option("--frames", type=click.IntRange(min=8), default=100, show_default=True)
@click.option(
    "--model",
    metavar="NAME|PATH",
    default="identity",
    show_default=True,
    help="What the effect runs; the identity shows what all else costs.",
)
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def bench_plugin(quiet: bool, size: str, frames: int, model: str, runs: int, as_json: bool) -> None:
    """Measure the effect inside of FFmpeg, beyond the conversion to RGB and back that it needs.

    Needs the ffmpeg of the system, and the effect: installed, or a C compiler to make it for now.

    \b
    crsr-video bench plugin
    crsr-video bench plugin --model fast --runs 5 --json
    """
    import sys

    from crsr_video.errors import BenchError
    from crsr_video.track import litert

    if sys.platform == "win32":
        raise BenchError("the effect is for Linux and macOS")
    from dataclasses import asdict
    from pathlib import Path

    from crsr_video.bench import plugin
    from crsr_video.bench.machine import machine

    def say(film: str) -> None:
        if not quiet:
            click.echo(f"measuring {film}", err=True)

    litert.prepare_process()
    if Path(model).is_file():  # The server goes by full names.
        model = str(Path(model).absolute())
    wanted = plugin.Wanted(size=size, frames=frames, model=model, runs=runs)
    rows = plugin.measure(wanted, on_film=say)
    if as_json:
        films = [asdict(row) | {"overhead_ms": row.overhead_ms} for row in rows]
        click.echo(json.dumps({"machine": machine(), "wanted": asdict(wanted), "films": films}))
    else:
        click.echo("\n".join([f"{size}, model {model}; milliseconds a frame", "", _text(rows)]))


def _text(rows: "list[PluginFigures]") -> str:
    from crsr_video.bench.table import table

    head = ["film", "conversion", "with the effect", "beyond it"]
    head += ["CPU of conversion", "ffmpeg's CPU", "server's CPU"]
    lines = [
        [
            row.film,
            *(f"{ms:.2f}" for ms in (row.conversion.ms, row.effect.ms, row.overhead_ms)),
            *(f"{ms:.2f}" for ms in (row.conversion.ffmpeg_cpu_ms, row.effect.ffmpeg_cpu_ms)),
            f"{row.effect.server_cpu_ms:.2f}",
        ]
        for row in rows
    ]
    return table(head, lines, words=1)
