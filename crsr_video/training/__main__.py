"""Commands: prepare the faces, train on them, export the weights."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import cv2
import torch

from crsr_video.errors import CrsrError

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def main() -> None:
    """Train the consistifier and the super-resolver."""


@main.command("prepare")
@click.argument("faces", type=FOLDER)
@click.argument("out", type=FOLDER)
def prepare_command(faces: Path, out: Path) -> None:
    """Align the pictures that FACES/faces.csv lists and store them in OUT."""
    from crsr_video.training.prepare import prepare

    for name, count in prepare(faces, out, progress=sys.stderr.isatty()).items():
        click.echo(f"{name:>10} {count}")


@main.command("train")
@click.argument("prepared", type=FOLDER)
@click.argument("checkpoint", type=FILE)
@click.option("--steps", type=click.IntRange(1), help="Length of the schedule.")
@click.option("--minutes", type=click.FloatRange(0.1), help="Fit the schedule to this time.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True, help="CPU threads for the networks.")
@click.option("--log", "log_file", type=FILE, help="Also write the log to this file.")
@click.option("--log-every", default=25, show_default=True, help="Steps between log lines.")
def train_command(
    prepared: Path,
    checkpoint: Path,
    steps: int | None,
    minutes: float | None,
    seed: int,
    threads: int,
    log_file: Path | None,
    log_every: int,
) -> None:
    """Train on PREPARED faces; start CHECKPOINT, or go on from it if it is there."""
    from crsr_video.training.data import Faces
    from crsr_video.training.state import fresh, load
    from crsr_video.training.train import Limits, Recipe, train

    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    arguments: dict[str, dict[str, object]] = {"consistifier": {}, "superresolver": {}}
    state = load(checkpoint) if checkpoint.exists() else fresh(arguments, seed)
    limits = Limits(steps=steps, minutes=minutes, log_every=log_every)
    with _log_to(log_file):
        train(Faces(prepared, "train"), state, checkpoint, limits, Recipe())


@main.command("export")
@click.argument("checkpoint", type=FILE)
@click.argument("out", type=FOLDER)
@click.option("--prepared", type=FOLDER, required=True, help="The faces it was trained on.")
@click.option("--name", default="fast", show_default=True, help="Of the files.")
@click.option("--figures", type=FILE, help="What the evaluation command wrote with --json.")
@click.option("--hardware", default="", help="For the card: what it was trained on.")
@click.option("--command", default="", help="For the card: how it was trained.")
def export_command(
    checkpoint: Path,
    out: Path,
    prepared: Path,
    name: str,
    figures: Path | None,
    hardware: str,
    command: str,
) -> None:
    """Write the averaged weights of CHECKPOINT and their card into OUT."""
    from crsr_video.training.card import write_card
    from crsr_video.training.export import export
    from crsr_video.training.state import load

    state = load(checkpoint)
    weights = export(state, out / f"{name}.safetensors")
    table = json.loads(figures.read_text(encoding="utf-8")) if figures else None
    write_card(weights, state, prepared, figures=table, hardware=hardware, command=command)
    click.echo(f"{weights}: step {state.step}, {weights.stat().st_size} bytes")


@contextmanager
def _log_to(path: Path | None) -> Iterator[None]:
    """Show the log of training, and append it to a file."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
    logger = logging.getLogger("crsr_video.training")
    logger.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


if __name__ == "__main__":
    try:
        main()
    except CrsrError as error:
        sys.exit(f"error: {error}")
