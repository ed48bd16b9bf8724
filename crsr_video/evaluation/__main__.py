"""The command: a table of how much the networks gain over bicubic enlargement."""

import json
import sys
from pathlib import Path

import click
import torch

from crsr_video.errors import CrsrError
from crsr_video.evaluation.metrics import FACE_REGION
from crsr_video.weights import load

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("weights")
@click.option("--data", type=FOLDER, required=True, help="Folder made by the prepare command.")
@click.option("--limit", type=click.IntRange(1), help="Faces in each row of the table.")
@click.option("--seed", default=0, show_default=True, help="Of the degradations.")
@click.option("--bf16", is_flag=True, help="Run the networks in bfloat16.")
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
@click.option("--json", "json_file", type=FILE, help="Also write the table to this file.")
@click.option("--sheet", type=FILE, help="Also write a contact sheet (PNG).")
@click.option("--real", is_flag=True, help="Photographs on the sheet, not synthetic faces.")
def main(
    weights: str,
    data: Path,
    limit: int | None,
    seed: int,
    bf16: bool,
    threads: int,
    json_file: Path | None,
    sheet: Path | None,
    real: bool,
) -> None:
    """Measure WEIGHTS (a shipped name or a file) on the validation faces' face region."""
    from crsr_video.evaluation.sheet import write_sheet
    from crsr_video.evaluation.table import as_dicts, as_text, measure, methods

    torch.set_num_threads(threads)
    pair = load(weights)
    networks = methods(pair.consistifier, pair.superresolver)
    rows = measure(networks, data, limit=limit, seed=seed, bf16=bf16)
    click.echo(as_text(rows))
    if json_file:
        content = {
            "weights": pair.name,
            "sha256": pair.sha256,
            "seed": seed,
            "bf16": bf16,
            "region": FACE_REGION,
            "rows": as_dicts(rows),
        }
        json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if sheet:
        write_sheet(sheet, networks, data, real=real, seed=seed)


if __name__ == "__main__":
    try:
        main()
    except CrsrError as error:
        sys.exit(f"error: {error}")
