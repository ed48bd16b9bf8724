"""``crsr-video enhance``: enhance the faces of one video or of many."""

import sys
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from crsr_video.cli import options, process, queue
from crsr_video.cli.options import option, section
from crsr_video.cli.reporting import EXIT_PARTIAL, Reporter
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

_output_options = section(
    "Output",
    option(
        "-o",
        "--output",
        "place",
        metavar="OUTPUT",
        type=click.Path(),
        help="Write the result here. A file's ending selects the container, FOLDER/ keeps the name"
        " of INPUT, and '-' is standard output.  [default: NAME.enhanced.EXT]",
    ),
    options.OVERWRITE,
    option(
        "--scale",
        type=click.Choice(["1", "2", "4"]),
        default="1",
        show_default=True,
        help="Enlarge the whole picture; faces get the full resolution of the network.",
    ),
    option(
        "--upscaler",
        type=click.Choice(UPSCALERS),
        default=UPSCALERS[0],
        show_default=True,
        help="Enlarge the background with this filter.",
    ),
    option(
        "--start",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="SECONDS",
        help="Skip this much of INPUT.",
    ),
    option(
        "--duration",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Enhance only this much of INPUT.",
    ),
)

_encoder_options = section(
    "Video encoder",
    option(
        "--codec",
        metavar="ENCODER",
        help="Use this encoder, such as libx264 or libx265; 'copy-like' keeps the codec and bit"
        " rate of INPUT.  [default: the codec of INPUT, visually lossless]",
    ),
    option(
        "--crf",
        type=click.FloatRange(min=0),
        help="Set the encoder's constant quality; lower is better.  [default: visually lossless]",
    ),
    options.BITRATE,
    option("--preset", help="Set the encoder preset, such as veryfast, medium or slow."),
    options.ENCODER_OPTIONS,
    option(
        "--strict",
        is_flag=True,
        help="Fail before anything is written if something of INPUT cannot be kept in full.",
    ),
)

_run_options = section(
    "Run",
    option(
        "--resume",
        is_flag=True,
        help="Keep finished parts beside OUTPUT; repeat the command to continue after a crash.",
    ),
    option("--restart", is_flag=True, help="With --resume: discard finished parts."),
    option(
        "--on-error",
        type=click.Choice(["fail", "passthrough"]),
        default="fail",
        show_default=True,
        help="If a frame cannot be enhanced: stop, or pass the frame through unchanged.",
    ),
    option(
        "--hwaccel",
        type=click.Choice(DECODING),
        default=DECODING[0],
        show_default=True,
        help="Decode files on this kind of device if there is one; auto tries all.",
    ),
    options.REPORT,
    options.JSON_EVENTS,
)

_pipe_options = section(
    "Standard input and output",
    option(
        "--format",
        "container",
        type=click.Choice(PIPE_OUTPUTS),
        help="Write this to standard output; all but Matroska and MPEG-TS hold raw pictures"
        " unless --codec is given.  [default: nut]",
    ),
    option(
        "--input-format",
        type=click.Choice(PIPE_INPUTS),
        help="Read this from standard input.  [default: detected]",
    ),
    option(
        "--size",
        metavar="WxH",
        type=options.FrameSize(),
        help="Frame size of raw video on standard input, such as 1280x720.",
    ),
    option(
        "--pixel-format",
        metavar="NAME",
        help="Pixel format of raw video on standard input.  [default: yuv420p]",
    ),
    option(
        "--rate",
        metavar="FPS",
        type=options.FrameRate(),
        help="Frame rate of raw video on standard input.  [default: 25]",
    ),
)


@click.command(cls=options.SectionCommand, short_help="Enhance the faces of videos and pictures.")
@click.argument(
    "sources", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@_output_options
@options.face_options
@options.network_options
@_encoder_options
@_run_options
@queue.queue_options
@_pipe_options
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
    """Enhance the faces of INPUT, and keep everything else as it is.

    \b
    crsr-video enhance holiday.mp4
    crsr-video enhance photo.jpg --strength 0.7
    crsr-video enhance holiday.mp4 -o better.mkv --strength 0.7 --preset veryfast
    crsr-video enhance holiday.mp4 --scale 2 --start 12.5 --duration 10
    crsr-video enhance --recursive footage -o better --jobs 2

    INPUT and OUTPUT may be '-' for standard input and output. Messages and --json events then go
    to standard error.

    \b
    ffmpeg -i in.mp4 -c copy -f nut - | crsr-video enhance - -o - | ffmpeg -i - out.mp4
    """
    output = OutputSettings(
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
    queue_settings = queue.take_settings(choices)
    config = Config.from_options(scale=int(scale), output=output, reading=read, **choices)
    if queue.is_queue(sources, queue_settings):
        if any(str(path) == "-" for path in (*sources, place)):
            raise ConfigError("'-' is a single video: several inputs need file names")
        sys.exit(
            queue.enhance_all(
                sources, place, config, queue_settings, quiet=context.obj, as_json=as_json
            )
        )
    if _enhance_one(sources[0], place, config, quiet=context.obj, as_json=as_json):
        sys.exit(EXIT_PARTIAL)


def _enhance_one(
    source: Path, place: str | None, config: Config, *, quiet: bool, as_json: bool
) -> bool:
    """Enhance one video, and return whether its source was damaged."""
    output = None if place is None else Path(place)
    folder = output if place is not None and options.is_folder(place) else None
    if str(source) == "-" and (output is None or folder is not None):
        raise ConfigError("standard input has no file name: name the result with -o")
    piped = str(output) == "-"
    with Reporter(quiet=quiet, as_json=as_json, events_to_stderr=piped) as reporter:
        # Imported here because torch takes seconds, and wrong options should fail at once.
        from crsr_video.io.sources import opening
        from crsr_video.jobs import file
        from crsr_video.track import litert

        reporter.start(source)
        if str(source) != "-":
            opening.check_path(source)  # Before anything is downloaded.
        process.limit_library_threads(config.networks.device)
        if config.faces.tracks is None:
            litert.prepare_process(reporter.fetching)
        naming = nullcontext(output) if folder is None else queue.output_in(folder, source, config)
        with naming as name:
            summary = file.enhance(
                source,
                name,
                config=config,
                on_progress=reporter.progress,
                on_notice=reporter.notice,
                command=("crsr-video", *sys.argv[1:]),
            )
        reporter.finish(summary)
    return summary.partial
