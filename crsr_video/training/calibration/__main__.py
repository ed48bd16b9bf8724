"""``python -m crsr_video.training.calibration PACK``: what eight-bit inference must know."""

from pathlib import Path

import click

from crsr_video import weights
from crsr_video.errors import CrsrError
from crsr_video.training.calibration import calibrate, write


@click.command()
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--model", default=weights.FAST, show_default=True)
@click.option("--rounds", default=8, show_default=True, help="12 faces each.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A list of ranges to add to.")
def main(pack: Path, model: str, rounds: int, output: Path | None) -> None:
    """Measure the ranges of a model's activations on the faces of PACK, and the loss by them.

    Written beside the weights unless -o says otherwise, and only if the loss is small.
    """
    try:
        pair = weights.load(model)
        found = calibrate(pair, pack, rounds)
        click.echo(f"{model}: {found.usual}")
        click.echo(f"{model}, strange light: {found.strange}")
        if not found.good:
            raise click.ClickException("eight bits lose too much, against the truth")
        write(output or weights.ranges_file(weights.path_of(model)), pair.sha256, found.ranges)
    except CrsrError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
