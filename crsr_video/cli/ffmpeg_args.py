"""``crsr-video ffmpeg-args``: FFmpeg's command for one video, with colours kept."""

from pathlib import Path
from typing import Any

import click

from crsr_video.cli.files import NamedFile


@click.command("ffmpeg-args", short_help="Print FFmpeg's command for a video, with colours kept.")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="OUTPUT",
    type=NamedFile(),
    help="Where the result goes.  [default: NAME.enhanced.EXT]",
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="How much of the correction is applied.",
)
@click.option(
    "--min-face",
    type=click.FloatRange(0, 256),
    default=16.0,
    show_default=True,
    metavar="PX",
    help="Leave faces alone that are narrower than this.",
)
@click.option("--model", default="fast", show_default=True, help="fast, or a file.")
@click.option("--compare", is_flag=True, help="Left half before, right half after.")
@click.option("--debug", is_flag=True, help="Draw in what was found.")
@click.option(
    "--tracks",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take the faces from a file that 'crsr-video tracks' wrote of this video.",
)
@click.option("--persons", default="", metavar="WHOM", help="Such as 1,4 or 2:off: see tracks.")
@click.option("--codec", help="FFmpeg encoder.  [default: of the source's codec]")
@click.option("--crf", type=float, metavar="Q", help="Constant quality, lower is better.")
@click.option("--preset", metavar="NAME", help="Encoder preset, such as veryfast.")
@click.option("--pipe", is_flag=True, help="Not by the effect: keeps high bit depths.")
@click.option("--overwrite", is_flag=True, help="Let the command replace an existing result.")
@click.pass_context
def ffmpeg_args(context: click.Context, /, source: Path, **options: Any) -> None:
    """Print the whole command that enhances INPUT by FFmpeg and the effect, ready for a shell.

    \b
    crsr-video ffmpeg-args in.mp4 --strength 0.8
    eval "$(crsr-video ffmpeg-args in.mp4 -o out.mp4)"
    crsr-video ffmpeg-args in.mov --pipe
    """
    from crsr_video.config import OutputSettings
    from crsr_video.io import source as sources
    from crsr_video.plugins import ffmpeg

    sources.check_path(source)
    _check(options)
    settings = OutputSettings(codec=options["codec"], crf=options["crf"], preset=options["preset"])
    common = {"settings": settings, "overwrite": options["overwrite"]}
    if options["pipe"]:
        words = _words(options)
        command = ffmpeg.through_pipe(source, options["output"], options=words, **common)
    else:
        command = ffmpeg.through_effect(
            source, options["output"], parameters=_parameters(options), **common
        )
    if not context.obj:
        for notice in command.notices:
            click.echo(f"crsr-video: {notice}", err=True)
    click.echo(command.line)


def _check(options: dict[str, Any]) -> None:
    """Refuse now what the effect's server would refuse, while frames pass unchanged.

    Raises: ConfigError, WeightsError, TracksError.
    """
    from crsr_video.config import EnhancerConfig, parse_people
    from crsr_video.errors import ConfigError
    from crsr_video.track import tracks_file

    model = options["model"]
    EnhancerConfig.from_options(
        strength=options["strength"], min_face=options["min_face"], model=model
    )
    if not options["persons"].isprintable():
        raise ConfigError("persons: must be one line")
    parse_people(options["persons"])
    if options["tracks"] is not None:
        tracks_file.read(options["tracks"])
    if model not in ("fast", "identity") and not Path(model).is_file():
        from crsr_video import weights

        raise ConfigError(f"{weights.path_of(model)}: no such file")


def _parameters(options: dict[str, Any]) -> Any:
    """Of the effect; files by their full names, since its server has a folder of its own."""
    from crsr_video.plugins.conversion import Parameters

    model, tracks = Path(options["model"]), options["tracks"]
    return Parameters(
        strength=options["strength"],
        min_face=options["min_face"],
        model=str(model.absolute()) if model.is_file() else options["model"],
        compare=options["compare"],
        debug=options["debug"],
        tracks="" if tracks is None else str(tracks.absolute()),
        persons=options["persons"],
    )


def _words(options: dict[str, Any]) -> tuple[str, ...]:
    """Of ``crsr-video enhance``, as far as they are not as usual there.

    Raises: ConfigError: the pipe has no such thing.
    """
    from crsr_video.errors import ConfigError

    for name in ("compare", "debug", "tracks", "persons"):
        if options[name]:
            raise ConfigError(f"--{name} is of the effect, and means nothing with --pipe")
    words: list[str] = []
    for name, usual in (("strength", 1.0), ("min_face", 16.0), ("model", "fast")):
        if options[name] != usual:
            told = options[name] if name == "model" else f"{options[name]:g}"
            words += [f"--{name.replace('_', '-')}", told]
    return tuple(words)
