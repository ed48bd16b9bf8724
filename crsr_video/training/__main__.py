"""Commands: prepare faces, harvest genuine ones, train, calibrate and export weights."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from crsr_video.errors import CrsrError

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
ANY = click.Path(path_type=Path)


@click.group()
def main() -> None:
    """Prepare data, train networks, and export their weights."""


@main.command()
@click.argument("pictures", type=FOLDER)
@click.option("-o", "--output", type=FILE, required=True, help="The pack to write (.pack).")
@click.option("--quality", type=click.IntRange(1, 100), default=95, show_default=True,
              help="WebP quality.")  # fmt: skip
def prepare(pictures: Path, output: Path, quality: int) -> None:
    """Align the faces in a folder of PICTURES and pack them for training.

    If the folder has a faces.csv, it says where the faces are and whom they show. Otherwise faces
    are detected, and each sub-folder is one person.
    """
    from crsr_video.training.prepare import prepare as run

    _print_counts(run(pictures, output, quality=quality, progress=sys.stderr.isatty()))


@main.command()
@click.argument("videos", type=ANY, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="The pack to write (.pack).")
@click.option(
    "--every", type=click.IntRange(1), default=5, show_default=True, help="Use each N-th frame."
)
@click.option(
    "--smallest",
    type=click.FloatRange(8),
    default=12.0,
    show_default=True,
    help="Least face width in pixels.",
)
@click.option(
    "--largest",
    type=click.FloatRange(8),
    default=160.0,
    show_default=True,
    help="Largest face width in pixels.",
)
@click.option("--per-track", type=click.IntRange(1), default=12, show_default=True,
              help="Most faces of one track.")  # fmt: skip
def harvest(videos: Sequence[Path], output: Path, **options: Any) -> None:
    """Cut aligned faces out of VIDEOS (files or folders) at the size they were filmed in."""
    from crsr_video.training.harvest import harvest as run

    _print_counts(run(videos, output, progress=sys.stderr.isatty(), **options))


def _print_counts(counts: dict[str, int]) -> None:
    for name, count in counts.items():
        click.echo(f"{name:>16} {count}")


@main.group()
def train() -> None:
    """Train networks. Every run can be interrupted and resumed by the same command."""


_OPTIONS = [
    click.argument("faces", type=ANY),
    click.option("-o", "--output", type=FOLDER, required=True, help="Folder of the run."),
    click.option("--minutes", type=click.FloatRange(0.01), help="Length of the run in minutes."),
    click.option("--steps", type=click.IntRange(1), help="Length of the run in steps."),
    click.option("--from", "start", type=ANY, multiple=True,
                 help="Start from the weights of a run or a file; repeatable, the first counts."),
    click.option("--genuine", type=ANY, help="Low-resolution faces: a harvested pack or an .npz."),
    click.option("--size", default="fast", show_default=True, help="Network size: small or fast."),
    click.option("--tier", "tiers", multiple=True, metavar="FACE:PATCH:BATCH:SHARE",
                 help="Kind of batch; repeatable."),
    click.option("--framing", type=click.Choice(["canonical", "wider"]), default="canonical",
                 show_default=True, help="Crop of the head; 'wider' is that of the .npz."),
    click.option("--set", "changes", multiple=True, metavar="NAME=VALUE",
                 help="Change a setting of the method; repeatable."),
    click.option("--pause", type=click.FloatRange(0.01), help="Pause after N minutes."),
    click.option("--seed", default=0, show_default=True),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N."),
    click.option("--threads", default=1, show_default=True, help="CPU threads of the networks."),
    click.option("--workers", default=0, show_default=True, help="Threads that make data."),
    click.option("--log-every", default=25, show_default=True, help="Steps between log lines."),
]  # fmt: skip


def _add_method(name: str, text: str) -> None:
    """Add a command that trains with a method."""

    def command(**options: Any) -> None:
        variant = options.pop("variant", None)
        _train(variant or name, **options)

    command.__doc__ = text
    wrapped: Callable[..., Any] = command
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    if name == "baseline":
        wrapped = click.argument("variant", type=click.Choice(["blind", "uda", "lrgan"]))(wrapped)
    if name == "joint":
        wrapped = click.option(
            "--supervision",
            "variant",
            type=click.Choice(["joint", "footage", "both"]),
            default="joint",
            show_default=True,
            help="joint: synthetic pairs; footage: genuine footage, as in the paper; both.",
        )(wrapped)
    train.command(name)(wrapped)


_add_method("sr", "Train the super-resolver alone on FACES: step 1 of the method.")
_add_method("cr", "Train the consistifier on FACES and genuine faces: step 2 of the method.")
_add_method("joint", "Train both networks together on FACES: steps 3 and 4 of the method.")
_add_method("perceptual", "Train both networks and the texture head on FACES.")
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
    from crsr_video.training.session import Limits, Session

    limits = Limits(steps=steps, minutes=minutes, pause=pause, log_every=log_every)
    session = Session(method(name, size, tiers, changes), faces, output, **options)
    with _logged(output):
        session.train(limits, threads=threads, workers=workers, progress=sys.stderr.isatty())


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Append the log of training to a file, and show it unless there is a progress bar."""
    from crsr_video.errors import TrainingError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot write {folder}: {error.strerror}") from error
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
    from crsr_video.training.costs import as_text, costs

    click.echo(as_text(costs()))


@train.command()
@click.argument("faces", type=ANY)
@click.option("--model", default="fast", show_default=True, help="A name or a .safetensors file.")
@click.option("--rounds", default=8, show_default=True, help="Samples of twelve faces.")
def calibrate(faces: Path, model: str, rounds: int) -> None:
    """Calibrate a model for int8 inference on the pack FACES.

    The calibration is written beside the weights, and only if int8 loses little.
    """
    message, is_good = _calibrate(model, faces, rounds)
    if not is_good:
        raise click.ClickException(message)
    click.echo(message)


def _calibrate(model: str, faces: Path, rounds: int = 8) -> tuple[str, bool]:
    """Calibrate weights; returns the outcome in words, and whether int8 can be used."""
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


@train.command()
@click.argument("run", type=ANY)
@click.option("-o", "--output", type=FILE, required=True, help="The .safetensors to write.")
@click.option("--faces", type=ANY, help="The training pack: calibrates int8 and writes a card.")
@click.option("--anchor", help="Move the weights towards this model's, but not the texture head.")
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Share of the anchor.")  # fmt: skip
@click.option("--figures", type=FILE, help="Markdown file with figures, for the card.")
@click.option("--hardware", default="", help="What the run was trained on, for the card.")
@click.option("--command", "commands", multiple=True, help="Training command, for the card.")
def export(
    run: Path, output: Path, faces: Path | None, anchor: str | None, share: float, **card: Any
) -> None:
    """Write the averaged weights of RUN into one file, with a card and a calibration beside it."""
    from crsr_video import weights
    from crsr_video.errors import TrainingError
    from crsr_video.training.card import write_card
    from crsr_video.training.export import Anchor
    from crsr_video.training.export import export as write
    from crsr_video.training.session import read_run

    state = read_run(run)
    earlier = Anchor(weights.load(anchor), share) if anchor is not None else None
    path = write(state, output, earlier)
    click.echo(f"{path}: {path.stat().st_size} bytes")
    if faces is not None:
        try:
            int8, _ = _calibrate(str(path), faces)
        except TrainingError as error:
            int8 = f"not measured: {error}"
        click.echo(f"int8: {int8}")
        write_card(path, state, faces, int8=int8, anchor=earlier, **card)


if __name__ == "__main__":
    try:
        main()
    except CrsrError as error:
        sys.exit(f"error: {error}")
