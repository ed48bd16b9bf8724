"""``crsr-video prepare``, ``harvest`` and ``train``: data and training of the networks."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from crsr_video.cli import options, process
from crsr_video.cli.commands import command, group, option, section
from crsr_video.cli.values import NamedFile, Number, WholeNumber, one_of

_FOLDER = NamedFile(file_okay=False)
_FILE = NamedFile(dir_okay=False)
_ANY = click.Path(path_type=Path)
_PACK = options.OUTPUT.but(type=_FILE, required=True, help="Write this pack (.pack).")


@command(short_help="Pack the faces of a folder of pictures for training.")
@click.argument("pictures", type=_FOLDER)
@section(
    "Options",
    _PACK,
    option("--quality", type=WholeNumber(1, 100), default=95, help="WebP quality."),
    option("--patches", is_flag=True, help="Pack patches of whole pictures instead of faces."),
)
def prepare(pictures: Path, output: Path, quality: int, *, patches: bool) -> None:
    """Align the faces in a folder of PICTURES and pack them for training.

    If the folder has a faces.csv, it says where the faces are and whom they show. Otherwise faces
    are detected, and each sub-folder is one person.
    """
    if patches:
        from crsr_video.training.prepare import prepare_patches as run
    else:
        from crsr_video.training.prepare import prepare as run

    counts = run(pictures, output, quality=quality, progress=sys.stderr.isatty())
    _print_counts("pictures", counts, output)
    method = "background" if patches else "joint"
    click.echo(f"next: crsr-video train {method} {output} -o RUN_FOLDER --minutes 30")


@command(short_help="Cut real low-resolution faces out of videos.")
@click.argument("videos", type=_ANY, nargs=-1, required=True)
@section(
    "Options",
    _PACK,
    option("--every", type=WholeNumber(1), default=5, help="Use each N-th frame."),
    option("--smallest", type=Number(8), default=12.0, help="Least face width in pixels."),
    option("--largest", type=Number(8), default=160.0, help="Largest face width in pixels."),
    option("--per-track", type=WholeNumber(1), default=12, help="Most faces of one track."),
)
def harvest(videos: Sequence[Path], output: Path, **criteria: Any) -> None:
    """Cut aligned faces out of VIDEOS (files or folders) at the size they were filmed in."""
    from crsr_video.training.harvest import Criteria
    from crsr_video.training.harvest import harvest as run

    counts = run(videos, output, Criteria(**criteria), progress=sys.stderr.isatty())
    _print_counts("frames and faces", counts, output)
    click.echo(f"next: crsr-video train cr FACES.pack --genuine {output} -o RUN_FOLDER")


def _print_counts(heading: str, counts: dict[str, int], output: Path) -> None:
    width = max(map(len, (heading, *counts)))
    for name, count in ((heading, "count"), *counts.items()):
        click.echo(f"{name:<{width}}  {count:>8}")
    click.echo(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB)")


@group(short_help="Train the networks, and export weights.")
def train() -> None:
    """Train networks. Every run can be interrupted and resumed by the same command."""


_FACES = click.argument("faces", type=_ANY)
_training_options = section(
    "Options",
    options.OUTPUT.but(type=_FOLDER, required=True, help="Folder of the run."),
    option("--minutes", type=Number(0.01), help="Length of the run in minutes."),
    option("--steps", type=WholeNumber(1), help="Length of the run in steps."),
    option(
        "--from",
        "start",
        type=_ANY,
        multiple=True,
        help="Start from the weights of a run or a file; may be repeated, the first counts.",
    ),
    option(
        "--genuine", type=_ANY, help="Use these low-resolution faces: a harvested pack or an .npz."
    ),
    option("--size", default="fast", help="Network size: small or fast."),
    option(
        "--tier",
        "tiers",
        multiple=True,
        metavar="FACE:PATCH:BATCH:SHARE",
        help="Kind of batch; may be repeated.",
    ),
    option(
        "--framing",
        type=one_of(["canonical", "wider"]),
        default="canonical",
        help="Crop of the head; 'wider' is that of the .npz.",
    ),
    option(
        "--set",
        "changes",
        multiple=True,
        metavar="NAME=VALUE",
        help="Change a setting of the method; may be repeated.",
    ),
    option("--pause", type=Number(0.01), help="Pause after this many minutes."),
    options.SEED,
    options.DEVICE.but(metavar="cpu|cuda[:N]", default="cpu"),
    option("--threads", default=1, help="CPU threads of the networks."),
    option("--workers", default=0, help="Threads that make data."),
    option("--log-every", default=25, help="Steps between log lines."),
)


def _add_method(name: str, text: str) -> None:
    """Add a command that trains with the method of this name."""

    def command(**options: Any) -> None:
        variant = options.pop("variant", None)
        _train(variant or name, **options)

    command.__doc__ = text
    wrapped: Callable[..., Any] = _FACES(_training_options(command))
    if name == "baseline":
        wrapped = click.argument("variant", type=one_of(["blind", "uda", "lrgan"]))(wrapped)
    if name == "joint":
        wrapped = option(
            "--supervision",
            "variant",
            type=one_of(["joint", "footage", "both"]),
            default="joint",
            help="joint: synthetic pairs; footage: genuine footage, as in the paper; both.",
        )(wrapped)
    train.command(name)(wrapped)


_add_method("sr", "Train the super-resolver alone on FACES: step 1 of the method.")
_add_method("cr", "Train the consistifier on FACES and genuine faces: step 2 of the method.")
_add_method("joint", "Train both networks together on FACES: steps 3 and 4 of the method.")
_add_method("perceptual", "Train both networks and the texture head on FACES.")
_add_method("background", "Train the network for whole frames on PATCHES.")
_add_method("baseline", "Train a baseline on FACES.")


def _train(
    name: str,
    *,
    faces: Path,
    output: Path,
    size: str,
    tiers: Sequence[str],
    changes: Sequence[str],
    steps: int | None,
    minutes: float | None,
    pause: float | None,
    threads: int,
    workers: int,
    log_every: int,
    **options: Any,
) -> None:
    from crsr_video.training.options import method
    from crsr_video.training.session import Limits, TrainingSession

    process.limit_research_threads(threads)
    limits = Limits(steps=steps, minutes=minutes, pause=pause, log_every=log_every)
    session = TrainingSession(method(name, size, tiers, changes), faces, output, **options)
    with _logged(output):
        session.train(limits, workers=workers, progress=sys.stderr.isatty())
    click.echo(f"wrote the run {output}, which the same command continues with more --minutes")
    if name == "background":
        click.echo(f"next: crsr-video evaluate-background PICTURES --model {output}")
        click.echo(f"      crsr-video train export {output} -o background.safetensors")
        return
    click.echo(f"next: crsr-video evaluate {output} --data {faces}")
    click.echo(f"      crsr-video train export {output} -o NAME.safetensors --faces {faces}")


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Append the log of training to a file, and show it unless there is a progress bar."""
    from crsr_video.errors import TrainingError
    from crsr_video.files import writing

    with writing(folder, TrainingError):
        folder.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [
        logging.FileHandler(folder / "log.txt", encoding="utf-8"),
        *([] if sys.stderr.isatty() else [logging.StreamHandler(sys.stdout)]),
    ]
    logger = logging.getLogger("crsr_video.training")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.propagate = True
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


@train.command()
def networks() -> None:
    """Print parameters and multiply-adds of every network."""
    from crsr_video.training.method import costs, costs_as_text

    click.echo(costs_as_text(costs()))


@train.command()
@_FACES
@options.MODEL.but(help="A name or a .safetensors file.")
@option("--rounds", default=8, help="Samples of twelve faces.")
def calibrate(faces: Path, model: str, rounds: int) -> None:
    """Calibrate a model for int8 inference on the pack FACES.

    The calibration is written beside the weights, and only if int8 loses little.
    """
    message, is_good = _calibrate(model, faces, rounds)
    if not is_good:
        raise click.ClickException(message)
    click.echo(message)


def _calibrate(model: str, faces: Path, rounds: int = 8) -> tuple[str, bool]:
    """Calibrate weights, and return the outcome in words and whether int8 can be used."""
    from crsr_video import weights
    from crsr_video.training import calibration

    pair = weights.load(model)
    found = calibration.calibrate(pair, faces, rounds)
    details = f"against bf16 {found.usual}"
    if found.textured is not found.usual:
        details += f"; with full texture {found.textured}"
    if not found.is_good:
        return f"int8 loses too much: {details}", False
    calibration.write(weights.ranges_file(weights.path_of(model)), pair.sha256, found.ranges)
    return f"measured, {details}", True


_AT = "With --faithful: texture at which the networks of RUN are used."


@train.command()
@click.argument("run", type=_ANY)
@options.OUTPUT.but(type=_FILE, required=True, help="The .safetensors to write.")
@option("--faces", type=_ANY, help="The training pack: calibrates int8 and writes a card.")
@option("--faithful", help="Model for texture 0. RUN is then for full texture alone.")
@option("--at", default=1.0, type=click.FloatRange(0, 1, min_open=True), help=_AT)
@option("--figures", type=_FILE, help="Markdown file with figures, for the card.")
@option("--hardware", default="", help="What the run was trained on, for the card.")
@option("--command", "commands", multiple=True, help="Training command, for the card.")
def export(
    run: Path, output: Path, faces: Path | None, faithful: str | None, at: float, **card: Any
) -> None:
    """Write the averaged weights of RUN into one file, with a card and a calibration beside it."""
    from crsr_video import weights
    from crsr_video.errors import TrainingError
    from crsr_video.training.export import export as write
    from crsr_video.training.export import write_card
    from crsr_video.training.session import read_run

    state = read_run(run)
    earlier = weights.path_of(faithful) if faithful is not None else None
    path = write(state, output, earlier, at=at)
    click.echo(f"{path}: {path.stat().st_size} bytes")
    if faces is not None:
        try:
            int8, _ = _calibrate(str(path), faces)
        except TrainingError as error:
            int8 = f"not measured: {error}"
        click.echo(f"int8: {int8}")
        digest = weights.digest(earlier) if earlier is not None else ""
        write_card(path, state, faces, int8=int8, faithful=digest, **card)
