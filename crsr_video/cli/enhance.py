"""``crsr-video enhance``: enhance the faces of one video or of many."""

import difflib
import os
import re
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import click

from crsr_video.cli import options, process, queue, settings_files
from crsr_video.cli.commands import Common, command, option, section
from crsr_video.cli.reporting import EXIT_PARTIAL, Reporter
from crsr_video.cli.values import is_folder, one_of
from crsr_video.config import PIPE_INPUTS, PIPE_OUTPUTS, Config, OutputSettings, ReadSettings
from crsr_video.errors import ConfigError, FaceModelError, InputError

_ADDRESS = re.compile("[a-z]{2,}:/")
"""Beginning of the address of a network source. A path has lost the second slash."""
_TIME_WORDS = frozenset(
    ("s", "sec", "secs", "second", "seconds", "min", "mins", "minute", "minutes", "h", "hours")
)
"""Words that follow a time in speech, and are taken for inputs on the command line."""

_output_options = section(
    "Output",
    options.OUTPUT.but(
        type=click.Path(),
        help="Write the result here. A file's ending selects the container, FOLDER/ keeps the name"
        " of INPUT, and '-' is standard output.  [default: NAME.enhanced.EXT]",
    ),
    options.OVERWRITE,
    options.SCALE,
    options.BACKGROUND,
    options.UPSCALER.but(rare=True),
    options.REPORT,
    options.PRESET_NAME,
    options.JSON_EVENTS.but(rare=True),
)

_encoder_options = section(
    "Size and quality of the video",
    options.PURPOSE,
    options.CODEC,
    options.CRF,
    options.BITRATE,
    options.PRESET,
    *options.as_rare(
        options.ENCODER_OPTIONS,
        option(
            "--always-encode",
            is_flag=True,
            help="Encode a video in which nothing was changed, instead of copying it.",
        ),
        option(
            "--strict",
            is_flag=True,
            help="Fail, and write nothing, if something of INPUT cannot be kept in full.",
        ),
    ),
)

_time_options = section("Time", options.START, options.END, options.DURATION)

_run_options = section(
    "Long runs",
    option(
        "--resume",
        is_flag=True,
        help="Keep finished parts beside OUTPUT; repeat the command to continue after a crash.",
    ),
    *options.as_rare(
        option("--restart", is_flag=True, help="With --resume: discard finished parts."),
        option(
            "--on-error",
            type=one_of(["fail", "passthrough"]),
            default="fail",
            help="If a frame cannot be enhanced: stop, or pass the frame through unchanged.",
        ),
    ),
)

_speed_options = section(
    "Performance",
    *options.as_rare(options.DEVICE, options.PRECISION, options.HWACCEL),
)

_pipe_options = section(
    "Standard input and output",
    *options.as_rare(
        option(
            "--format",
            "container",
            type=one_of(PIPE_OUTPUTS),
            help="Write this to standard output; all but Matroska and MPEG-TS hold raw pictures"
            " unless --codec is given.  [default: nut]",
        ),
        option(
            "--input-format",
            type=one_of(PIPE_INPUTS),
            help="Read this from standard input.  [default: detected]",
        ),
        options.SIZE,
        options.PIXEL_FORMAT.but(help="Pixel format of raw video.  [default: yuv420p]"),
        options.RATE.but(help="Frame rate of raw video or of numbered pictures.  [default: 25]"),
    ),
)


@command(short_help="Enhance the faces of videos and pictures.")
@click.argument(
    "sources",
    metavar="INPUT...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    is_eager=True,
    callback=settings_files.keep_source,
)
@_output_options
@options.face_options
@options.network_options
@_encoder_options
@_time_options
@queue.queue_options
@_run_options
@_speed_options
@_pipe_options
@click.pass_obj
def enhance(
    common: Common,
    /,
    sources: tuple[Path, ...],
    output: str | None,
    as_json: bool,
    encoder_options: dict[str, str],
    input_format: str | None,
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
    options.replace_end(choices)
    queue_settings = options.take(queue.QueueSettings, choices)
    _check_names(sources, output, is_recursive=queue_settings.recursive)
    config = Config.from_options(
        output=options.take(OutputSettings, choices, options=encoder_options),
        reading=options.take(ReadSettings, choices, format=input_format),
        **choices,
    )
    if queue.is_queue(sources, queue_settings):
        if any(str(path) == "-" for path in (*sources, output)):
            raise ConfigError("with several inputs, '-' cannot be used: give names of files")
        code = queue.enhance_all(
            sources, output, config, queue_settings, common=common, as_json=as_json
        )
        sys.exit(code)
    if _enhance_one(sources[0], output, config, common, as_json=as_json):
        sys.exit(EXIT_PARTIAL)


def _check_names(sources: tuple[Path, ...], output: str | None, *, is_recursive: bool) -> None:
    """Refuse names of inputs and outputs that look like mistakes, and suggest what to write."""
    last = sources[-1]
    address = next((path for path in sources if _ADDRESS.match(str(path))), None)
    if address is not None and not address.exists():
        raise ConfigError(
            f"{address}: is an address, not a file: download it first, or use 'crsr-video live'"
        )
    starred = next((path for path in sources if set("*?") & set(path.name)), None)
    if starred is not None and not os.path.lexists(starred):
        raise ConfigError(f"{starred}: no such file: leave out the quotes, or use --pattern")
    words = [path for path in sources if str(path) in _TIME_WORDS and not path.exists()]
    if words and len(sources) > 1:
        raise ConfigError(f"'{words[0]}' is not a file: write times as 5, 0:05 or 1:02:03")
    spaced = Path(" ".join(map(str, sources)))
    if len(sources) > 1 and not sources[0].exists() and spaced.is_file():
        raise ConfigError(f"{sources[0]}: no such file: did you mean '{spaced}', in quotes?")
    if (
        len(sources) == 1
        and str(last) != "-"
        and "%" not in last.name
        and not os.path.lexists(last)
    ):
        alike = _similar_name(last)
        if alike is not None:
            raise InputError(f"{last}: no such file: did you mean {alike}?")
    is_pair = len(sources) == 2 and output is None and sources[0].is_file()
    if is_pair and not os.path.lexists(last) and not set("*?%") & set(last.name):
        name = last if last.suffix else f"{last}{sources[0].suffix}"
        raise ConfigError(f"{last}: does not exist: did you mean '-o {name}'?")
    if len(sources) == 1 and last.is_dir() and not is_recursive:
        raise ConfigError(
            f"{last}: is a folder: add --recursive to enhance the videos and pictures in it"
        )
    if len(sources) == 1 and output not in (None, "-") and not sources[0].is_dir():
        path = Path(str(output))
        if not path.suffix and not is_folder(str(output)):
            name = f"{path}{sources[0].suffix}"
            raise ConfigError(
                f"{path}: is neither a file with an ending nor a folder that exists: use {name} "
                f"for a file, or {path}/ for a folder"
            )


def _similar_name(path: Path) -> Path | None:
    """Return the file whose name is most similar to that of a missing one, or None."""
    try:
        names = [item.name for item in path.parent.iterdir() if not item.name.startswith(".")]
    except OSError:
        return None
    same = [name for name in names if Path(name).stem == path.name]
    alike = same or difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return path.with_name(alike[0]) if alike else None


def _enhance_one(
    source: Path, place: str | None, config: Config, common: Common, *, as_json: bool
) -> bool:
    """Enhance one video, and return whether its source was damaged."""
    output = None if place is None else Path(place)
    folder = output if place is not None and is_folder(place) else None
    if str(source) == "-" and (output is None or folder is not None):
        raise ConfigError("standard input has no file name: name the result with -o")
    piped = str(output) == "-"
    with Reporter(common, as_json=as_json, events_to_stderr=piped) as reporter:
        # Imported here because torch takes seconds, and wrong options should fail at once.
        from crsr_video.io import sequences
        from crsr_video.io.sources import opening
        from crsr_video.jobs import file
        from crsr_video.track import litert

        reporter.start(source)
        if str(source) != "-" and not sequences.is_sequence(source):
            opening.check_path(source)  # Fail before anything is downloaded.
        if config.job.resume and str(source) != "-" and not piped:
            from crsr_video.jobs import queue as jobs

            job = jobs.make_job(source, Path(), folder, config)
            if output is not None and folder is None:
                job = jobs.Job(source, output)
            if jobs.is_done(job, config):
                reporter.skip(source, job.output)
                return False
        process.limit_library_threads(config.networks.device)
        if config.faces.tracks is None:
            litert.prepare_process()
        else:  # Other networks may still run on LiteRT.
            with suppress(FaceModelError):
                litert.prepare_process(fetch=False)
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
