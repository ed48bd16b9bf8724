"""``crsr-video enhance``: the main job."""

import sys
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from crsr_video.cli import process, queueing, values
from crsr_video.cli.choosing import face_options
from crsr_video.cli.enhancing import encoder_option, enhancing_options, report_option
from crsr_video.cli.reporting import Reporter
from crsr_video.config import (
    DECODING,
    PIPE_INPUTS,
    PIPE_OUTPUTS,
    UPSCALERS,
    Config,
    OutputSettings,
    ReadSettings,
)
from crsr_video.errors import ConfigError

EXIT_PARTIAL = 3


@click.command(short_help="Enhance the faces of a video file.")
@click.argument(
    "sources", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    "place",
    metavar="OUTPUT",
    type=click.Path(),
    help="Where the result goes; its ending chooses the container. FOLDER/: there, under the name"
    " of INPUT. '-': standard output.  [default: NAME.enhanced.EXT]",
)
@click.option(
    "--format",
    "container",
    type=click.Choice(PIPE_OUTPUTS),
    help="What to write to standard output; all but Matroska and MPEG-TS hold raw pictures"
    " unless --codec says otherwise.  [default: nut]",
)
@click.option(
    "--input-format",
    type=click.Choice(PIPE_INPUTS),
    help="What standard input holds.  [default: what it looks like]",
)
@click.option("--size", metavar="WxH", callback=values.size, help="Of raw video on standard input.")
@click.option("--pixel-format", metavar="NAME", help="Likewise.  [default: yuv420p]")
@click.option("--rate", metavar="FPS", callback=values.rate, help="Likewise.  [default: 25]")
@click.option(
    "--scale",
    type=click.Choice(["1", "2", "4"]),
    default="1",
    show_default=True,
    help="Enlarge the whole picture; faces then come out at the network's full resolution.",
)
@click.option(
    "--upscaler",
    type=click.Choice(UPSCALERS),
    default=UPSCALERS[0],
    show_default=True,
    help="How the background is enlarged.",
)
@enhancing_options
@click.option(
    "--hwaccel",
    type=click.Choice(DECODING),
    default=DECODING[0],
    show_default=True,
    help="Decode files on a device if it is there; auto takes any.",
)
@click.option(
    "--codec",
    metavar="ENCODER",
    help="Video encoder, such as libx264 or libx265, or 'copy-like': the source's codec at its own"
    " bit rate.  [default: the source's codec, visually lossless]",
)
@click.option(
    "--crf",
    type=click.FloatRange(min=0),
    help="Constant quality of the encoder; lower is better.  [default: visually lossless]",
)
@click.option(
    "--bitrate",
    metavar="RATE",
    callback=values.bits,
    help="Instead of --crf: bits a second, 4M or 800k.",
)
@click.option("--preset", help="Encoder preset, such as veryfast, medium or slow.")
@encoder_option
@click.option(
    "--strict",
    is_flag=True,
    help="Fail, with nothing written, if something cannot be kept in full.",
)
@click.option(
    "--start", type=click.FloatRange(min=0), default=0.0, help="Skip so many seconds first."
)
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    help="Enhance so many seconds only.",
)
@face_options
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option(
    "--resume",
    is_flag=True,
    help="Keep finished parts beside OUTPUT; the same command goes on after a crash.",
)
@click.option("--restart", is_flag=True, help="With --resume: begin anew.")
@click.option(
    "--on-error",
    type=click.Choice(["fail", "passthrough"]),
    default="fail",
    show_default=True,
    help="What to do with a frame that cannot be enhanced: stop, or pass it through unchanged.",
)
@report_option
@queueing.queue_options
@click.option("--json", "as_json", is_flag=True, help="Machine-readable events, a line each.")
@click.pass_context
def enhance(
    context: click.Context,
    /,
    sources: tuple[Path, ...],
    place: str | None,
    as_json: bool,
    codec: str | None,
    crf: float | None,
    bitrate: int | None,
    preset: str | None,
    encoder_options: dict[str, str],
    strict: bool,
    container: str | None,
    input_format: str | None,
    size: tuple[int, int] | None,
    pixel_format: str | None,
    rate: Fraction | None,
    hwaccel: str,
    scale: str,
    **choices: Any,
) -> None:
    """Enhance the faces of INPUT; everything else is carried over as it is.

    \b
    crsr-video enhance holiday.mp4
    crsr-video enhance holiday.mp4 -o better.mkv --strength 0.7 --preset veryfast
    crsr-video enhance holiday.mp4 --scale 2 --start 12.5 --duration 10
    crsr-video enhance --recursive footage -o better --jobs 2

    INPUT and OUTPUT may be '-', for standard input and output. Everything that is told goes to
    standard error then, the events of --json too.

    \b
    ffmpeg -i in.mp4 -c copy -f nut - | crsr-video enhance - -o - | ffmpeg -i - out.mp4
    """
    settings = OutputSettings(
        codec=codec,
        crf=crf,
        bitrate=bitrate,
        preset=preset,
        options=encoder_options,
        strict=strict,
        container=container,
    )
    read = ReadSettings(
        format=input_format, size=size, pixel_format=pixel_format, rate=rate, hwaccel=hwaccel
    )
    queue = queueing.chosen(choices)
    config = Config.from_options(scale=int(scale), output=settings, reading=read, **choices)
    output = None if place is None else Path(place)
    if queueing.is_queue(sources, queue):
        if any(str(path) == "-" for path in (*sources, output)):
            raise ConfigError("a pipe holds one video: several inputs need files")
        sys.exit(
            queueing.enhance_all(sources, place, config, queue, quiet=context.obj, as_json=as_json)
        )
    source = sources[0]
    folder = output if place is not None and values.is_folder(place) else None
    if str(source) == "-" and (output is None or folder is not None):
        raise ConfigError("standard input has no name to make the result's from: say where with -o")
    piped = str(output) == "-"
    with Reporter(quiet=context.obj, as_json=as_json, events_to_stderr=piped) as reporter:
        # Imported only now: the networks' libraries take seconds, wrong options should not.
        from crsr_video import api as enhancer
        from crsr_video.io import reader as readers
        from crsr_video.track import litert

        process.limit_library_threads(config.networks.device)
        reporter.start(source)
        if str(source) != "-" and not source.exists():
            readers.Reader(source)  # says what is wrong before anything is fetched
        if config.faces.tracks is None:
            litert.prepare_process(reporter.fetching)
        naming = nullcontext(output) if folder is None else queueing.into(folder, source, config)
        with naming as name:
            summary = enhancer.enhance(
                source,
                name,
                config=config,
                on_progress=reporter.progress,
                on_notice=reporter.notice,
                command=("crsr-video", *sys.argv[1:]),
            )
        reporter.finish(summary)
    if summary.partial:
        sys.exit(EXIT_PARTIAL)
