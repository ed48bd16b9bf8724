"""``crsr-video bench live``: whether it keeps up with a camera."""

import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crsr_video.cli import values

if TYPE_CHECKING:
    from crsr_video.bench.live import LiveFigures


@click.command("live", short_help="Play a camera into 'crsr-video live', and measure.")
@click.argument("clip", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--size", default="640x480", show_default=True, callback=values.size)
@click.option("--rate", default="30", show_default=True, callback=values.rate)
@click.option("--faces", type=click.IntRange(0, 4), default=1, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=2), default=60.0, show_default=True)
@click.option("--max-latency", type=click.FloatRange(5, 60_000), default=80.0, show_default=True)
@click.option("--model", default="fast", show_default=True)
@click.option(
    "--faults",
    is_flag=True,
    help="Break things on the way: stalls, garbage, changes of format, a reader that pauses.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the faults.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def bench_live(
    clip: Path | None,
    size: tuple[int, int],
    rate: Fraction,
    faces: int,
    seconds: float,
    max_latency: float,
    model: str,
    faults: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Play a clip (the built-in sample, or CLIP) as a camera would, and measure what comes out.

    Pictures are written raw, in NUT, at their own pace into a pipe to 'crsr-video live', and read
    from another one. With --faults they are sent as MPEG-TS with H.264 and sound, and disturbed.
    """
    from crsr_video.bench import faults as faulty
    from crsr_video.bench import live

    load = live.Load(
        width=size[0], height=size[1], rate=rate, faces=faces, seconds=seconds, source=clip
    )
    options = ["--max-latency", f"{max_latency:g}", "--model", model]
    if faults:
        found = faulty.measure(load, options, seed=seed)
        click.echo(json.dumps(faulty.as_dict(found)) if as_json else faulty.as_text(found))
        return
    figures = live.measure(load, options)
    click.echo(json.dumps(live.as_dict(figures)) if as_json else "\n".join(_lines(figures)))


def _lines(figures: "LiveFigures") -> list[str]:
    told, outside = figures.summary, figures.outside
    latency = told["latency"]
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in told["stages"].items())
    load = figures.load
    what = load.source.name if load.source else f"{load.width}x{load.height}, {load.faces} faces"
    return [
        f"played: {what}, {float(load.rate):g} fps, {load.seconds:g} s",
        f"frames: {figures.frames_sent} sent, {told['frames_in']} in, {told['frames_out']} out, "
        f"{figures.frames_received} received, {told['dropped']} dropped, "
        f"{figures.out_of_order} out of order",
        f"fps: {told['fps_in']:.2f} in, {told['fps_out']:.2f} out",
        f"latency ms: p50 {latency['p50_ms']:.1f}, p95 {latency['p95_ms']:.1f}, "
        f"p99 {latency['p99_ms']:.1f}",
        f"from outside: p50 {outside.p50:.1f}, p95 {outside.p95:.1f}, p99 {outside.p99:.1f}",
        f"milliseconds a frame: {stages}",
        f"memory MiB: {figures.memory_start:.0f} after 5 s, {figures.memory_end:.0f} at the end",
        f"quality at the end: {told['level']}",
        *figures.levels,
    ]
