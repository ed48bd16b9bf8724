"""``python -m crsr_video.training.calibration PACK``: what eight-bit inference must know."""

from pathlib import Path

import click
import numpy as np

from crsr_video import weights
from crsr_video.errors import CrsrError
from crsr_video.training.calibration import WORST, compare, crops, measure, strange, write
from crsr_video.training.data import Faces


@click.command()
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--model", default=weights.FAST, show_default=True)
@click.option("--rounds", default=4, show_default=True, help="12 faces each.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A list of ranges to add to.")
def main(pack: Path, model: str, rounds: int, output: Path | None) -> None:
    """Measure the ranges of a model's activations on the faces of PACK, and the loss by them.

    Written to the package's own list unless -o says otherwise, and only if the loss is small.
    """
    try:
        pair = weights.load(model)
        rng = np.random.default_rng(1)
        ranges = measure(pair, crops(Faces(pack, "train"), rng, rounds))
        fixed = {name: {k: (v[0], v[1]) for k, v in own.items()} for name, own in ranges.items()}
        held_out = crops(Faces(pack, "val"), rng, rounds)
        found = compare(pair, fixed, held_out)
        for name, a in (
            ("", found),
            (", strange light", compare(pair, fixed, strange(held_out, rng))),
        ):
            click.echo(
                f"{model}{name}: {a.worst:.1f} dB at worst, {a.median:.1f} dB in the median, "
                f"of {a.pictures} pictures"
            )
        if found.worst < WORST:
            raise click.ClickException(f"eight bits lose too much: less than {WORST:g} dB are left")
        write(output or weights.ranges_file(), pair.sha256, ranges)
    except CrsrError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
