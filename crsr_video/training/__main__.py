"""Commands: prepare faces, harvest genuine ones, train, export weights."""

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
    """The method's own tools: data, training, weights."""


@main.command()
@click.argument("pictures", type=FOLDER)
@click.option("-o", "--output", type=FILE, required=True, help="The pack to write (.pack).")
@click.option("--limit", "limit_mib", type=click.FloatRange(1), help="Largest size in MiB.")
@click.option("--quality", type=click.IntRange(1, 100), default=95, show_default=True)
def prepare(pictures: Path, output: Path, limit_mib: float | None, quality: int) -> None:
    """Align the faces in a folder of PICTURES and pack them for training.

    With a faces.csv in it, that says where the faces are and who they show; without one, faces
    are found, and sub-folders are taken for persons.
    """
    from crsr_video.training.prepare import prepare as run

    counts = run(
        pictures, output, limit_mib=limit_mib, quality=quality, progress=sys.stderr.isatty()
    )
    _tell(counts)


@main.command()
@click.argument("videos", type=ANY, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="The pack to write (.pack).")
@click.option("--every", type=click.IntRange(1), default=5, show_default=True, help="Frames.")
@click.option("--smallest", type=click.FloatRange(8), default=12.0, show_default=True)
@click.option("--largest", type=click.FloatRange(8), default=160.0, show_default=True)
@click.option("--per-track", type=click.IntRange(1), default=12, show_default=True)
def harvest(
    videos: Sequence[Path],
    output: Path,
    every: int,
    smallest: float,
    largest: float,
    per_track: int,
) -> None:
    """Cut aligned faces out of VIDEOS (files or folders) at the size they were filmed in."""
    from crsr_video.training.harvest import harvest as run

    counts = run(
        videos,
        output,
        every=every,
        smallest=smallest,
        largest=largest,
        per_track=per_track,
        progress=sys.stderr.isatty(),
    )
    _tell(counts)


def _tell(counts: dict[str, int]) -> None:
    for name, count in counts.items():
        click.echo(f"{name:>16} {count}")


@main.group()
def train() -> None:
    """Train networks; every run can be interrupted, and goes on where it was."""


_OPTIONS = [
    click.argument("faces", type=ANY),
    click.option("-o", "--output", type=FOLDER, required=True, help="Folder of the run."),
    click.option("--genuine", type=ANY, help="Low-resolution faces: a harvest's pack or an .npz."),
    click.option("--from", "start", type=ANY, multiple=True,
                 help="Begin from a run's or a file's weights, repeatable: the first counts."),
    click.option("--size", default="fast", show_default=True, help="small or fast."),
    click.option("--tier", "tiers", multiple=True, help="FACE:PATCH:BATCH:SHARE, repeatable."),
    click.option("--framing", type=click.Choice(["canonical", "wider"]), default="canonical",
                 show_default=True, help="How much of the head faces show; wider: as in the .npz."),
    click.option("--set", "changes", multiple=True, help="NAME=VALUE of a setting, repeatable."),
    click.option("--steps", type=click.IntRange(1), help="Length of the schedule."),
    click.option("--minutes", type=click.FloatRange(0.01), help="Fit the schedule to this time."),
    click.option("--pause", type=click.FloatRange(0.01), help="Stop after so many minutes, to go "
                 "on later."),
    click.option("--seed", default=0, show_default=True),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:N."),
    click.option("--threads", default=1, show_default=True, help="CPU threads for the networks."),
    click.option("--workers", default=0, show_default=True, help="Threads that make data."),
    click.option("--log-every", default=25, show_default=True, help="Steps between log lines."),
]  # fmt: skip


def _training(name: str, words: str) -> None:
    """Add a command that trains."""

    def command(**options: Any) -> None:
        variant = options.pop("variant", None)
        _train(variant or name, **options)

    command.__doc__ = words
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
            help="joint: synthetic pairs; footage: as in the paper; both.",
        )(wrapped)
    train.command(name)(wrapped)


_training("sr", "Train the super-resolver alone on FACES: step 1 of the method.")
_training("cr", "Train the consistifier on FACES and genuine ones: step 2 of the method.")
_training("joint", "Train both networks together on FACES: steps 3 and 4 of the method.")
_training("baseline", "Train what the method is compared with on FACES.")
_training("perceptual", "Train both networks and the texture head on FACES.")


def _train(
    name: str,
    *,
    faces: Path,
    output: Path,
    genuine: Path | None,
    start: Sequence[Path],
    size: str,
    tiers: Sequence[str],
    framing: str,
    changes: Sequence[str],
    steps: int | None,
    minutes: float | None,
    pause: float | None,
    seed: int,
    device: str,
    threads: int,
    workers: int,
    log_every: int,
) -> None:
    from crsr_video.training.options import method
    from crsr_video.training.schedule import Limits
    from crsr_video.training.session import Session

    limits = Limits(steps=steps, minutes=minutes, pause=pause, log_every=log_every)
    session = Session(
        method(name, size, tiers, changes),
        faces,
        output,
        genuine=genuine,
        start=start,
        framing=framing,
        seed=seed,
        device=device,
    )
    with _logged(output):
        session.train(limits, threads=threads, workers=workers, progress=sys.stderr.isatty())


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Show the log of training, unless a progress bar does, and append it to a file."""
    handlers: list[logging.Handler] = [logging.FileHandler(_log(folder), encoding="utf-8")]
    if not sys.stderr.isatty():
        handlers.append(logging.StreamHandler(sys.stdout))
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


def _log(folder: Path) -> Path:
    from crsr_video.errors import TrainingError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot write {folder}: {error.strerror}") from error
    return folder / "log.txt"


@train.command()
def networks() -> None:
    """Print parameters and multiply-adds of every network."""
    from crsr_video.training.costs import as_text, costs

    click.echo(as_text(costs()))


@train.command()
@click.argument("run", type=ANY)
@click.option("-o", "--output", type=FILE, required=True, help="The .safetensors to write.")
@click.option(
    "--faces",
    type=ANY,
    help="The pack it was trained on: writes a card as well, and what int8 must know.",
)
@click.option("--figures", type=FILE, help="Markdown of the evaluate command, for the card.")
@click.option("--hardware", default="", help="For the card: what it was trained on.")
@click.option("--command", "commands", multiple=True, help="For the card: how it was trained.")
def export(
    run: Path,
    output: Path,
    faces: Path | None,
    figures: Path | None,
    hardware: str,
    commands: Sequence[str],
) -> None:
    """Write the averaged weights of RUN into one file, and what belongs to it beside it."""
    from crsr_video.training.card import write_card
    from crsr_video.training.export import export as write
    from crsr_video.training.session import read_run

    state = read_run(run)
    weights = write(state, output)
    click.echo(f"{weights}: {weights.stat().st_size} bytes")
    if faces is not None:
        int8 = _calibrated(weights, faces)
        click.echo(f"int8: {int8}")
        write_card(
            weights,
            state,
            faces,
            figures=figures,
            hardware=hardware,
            commands=tuple(commands),
            int8=int8,
        )


def _calibrated(path: Path, faces: Path) -> str:
    """Measure exported weights for eight bits; what came of it, in words."""
    from crsr_video import weights
    from crsr_video.errors import TrainingError
    from crsr_video.training import calibration

    pair = weights.load(str(path))
    try:
        found = calibration.calibrate(pair, faces)
    except TrainingError as error:
        return f"not measured: {error}"
    if not found.good:
        return f"not used, loses too much: {found.usual}"
    calibration.write(weights.ranges_file(path), pair.sha256, found.ranges)
    return f"measured, against bf16 {found.usual}"


if __name__ == "__main__":
    try:
        main()
    except CrsrError as error:
        sys.exit(f"error: {error}")
