"""The command: tables of how methods do on artificial, genuine and moving faces, and a sheet."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch

from crsr_video.errors import ConfigError, CrsrError
from crsr_video.evaluation import genuine as genuine_faces
from crsr_video.evaluation import paired, samples
from crsr_video.evaluation.degradations import DRAWN, FIXED
from crsr_video.evaluation.framings import CANONICAL, FRAMINGS
from crsr_video.evaluation.instruments import Instruments
from crsr_video.evaluation.methods import Method, methods
from crsr_video.evaluation.report import Report
from crsr_video.evaluation.sheets import write_blind_sheet, write_sheet
from crsr_video.training.genuine import NPZ_FRAME, Genuine

TIERS = (samples.PAPER_TIER, *samples.TIERS)
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
FOUND = click.Path(path_type=Path, exists=True)


class Tiers(click.ParamType):  # type: ignore[type-arg]
    """Sides of inputs, as "32,64"."""

    name = "tiers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Numbers that the networks can be given."""
        try:
            tiers = tuple(dict.fromkeys(int(part) for part in str(value).split(",")))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 32,64", param, ctx)
        if any(tier not in TIERS for tier in tiers):
            self.fail(f"tiers are {', '.join(map(str, TIERS))}", param, ctx)
        return tiers


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Faces of the prepare command."
)
@click.option(
    "--tiers",
    type=Tiers(),
    default="32,64,128",
    show_default=True,
    help="Sides of the input; 16 is the paper's.",
)
@click.option(
    "--framing",
    type=click.Choice(list(FRAMINGS)),
    default="canonical",
    show_default=True,
    help="How much of the head the models were trained to see.",
)
@click.option("--limit", type=click.IntRange(1), help="Validation faces in each row.")
@click.option("--genuine", type=FOUND, multiple=True, help="Genuine faces; may be repeated.")
@click.option(
    "--genuine-faces",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    help="Of each file and tier.",
)
@click.option(
    "--reference",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    help="Photographs that genuine faces are compared with.",
)
@click.option("--inception", type=FILE, help="TorchScript Inception network, for the usual FID.")
@click.option("--videos", type=FOLDER, help="Sharp clips, to be degraded and restored.")
@click.option(
    "--degradations",
    "fixed",
    is_flag=True,
    help="Measure on fixed degradations, one row each, in place of random ones.",
)
@click.option("--by-tone", is_flag=True, help="Add rows for each skin tone group.")
@click.option("--blind", type=FILE, help="Write a blind sheet of two models; the key goes beside.")
@click.option("--seed", default=0, show_default=True, help="Of the degradations.")
@click.option("--bf16", is_flag=True, help="Run the networks in bfloat16.")
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
@click.option("-o", "out", type=FOLDER, help="Write tables, figures and the sheet here.")
@click.option("--json", "json_file", type=FILE, help="Also write the figures to this file.")
@click.option("--sheet", type=FILE, help="Also write a contact sheet (PNG).")
@click.option(
    "--sheet-faces",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Faces of each tier on the sheet, and half as many genuine ones.",
)
@click.option("--real", is_flag=True, help="Photographs on the sheet, not synthetic faces.")
def main(
    models: tuple[str, ...],
    data: Path,
    genuine: tuple[Path, ...],
    out: Path | None,
    json_file: Path | None,
    sheet: Path | None,
    sheet_faces: int,
    real: bool,
    blind: Path | None,
    threads: int,
    **options: Any,
) -> None:
    """Compare every MODEL with bicubic enlargement.

    A MODEL is a shipped name or a .safetensors file. MODEL:psi is its super-resolver alone, and
    MODEL:texture=0.5 stands between faithful and textured. Truth is known for the validation
    faces of --data; genuine faces and videos are measured when given.
    """
    torch.set_num_threads(threads)
    compared = methods(models, bf16=options["bf16"])
    found = _opened(genuine)
    if blind is not None:
        write_blind_sheet(blind, compared, data, tier=options["tiers"][0], seed=options["seed"])
        return
    report = _measured(compared, data, found, options)
    click.echo(report.as_text())
    report.save(data=json_file)
    if out:
        report.save(markdown=out / "evaluation.md", data=out / "evaluation.json")
    for path in (sheet, out and out / "sheet.png"):
        if path is None:
            continue
        write_sheet(
            path,
            compared,
            data,
            tiers=options["tiers"],
            faces=sheet_faces,
            real=real,
            seed=options["seed"],
            genuine=found,
            framing=FRAMINGS[options["framing"]],
        )


def _measured(
    compared: Sequence[Method],
    data: Path,
    found: Sequence[genuine_faces.GenuineFaces],
    options: dict[str, Any],
) -> Report:
    """Everything that was asked for, in one report."""
    shared = {"tiers": options["tiers"], "progress": sys.stderr.isatty()}
    with Instruments(options["inception"]) as tools:
        framing = FRAMINGS[options["framing"]]
        on_pairs = paired.measure(
            compared,
            data,
            tools,
            limit=options["limit"],
            seed=options["seed"],
            framing=framing,
            degradations=FIXED if options["fixed"] else DRAWN,
            by_tone=options["by_tone"],
            **shared,
        )
        on_genuine = []
        if found:
            numbers = {"count": options["genuine_faces"], "references": options["reference"]}
            on_genuine = genuine_faces.measure(compared, found, data, tools, **numbers, **shared)
    text, rows = _video(compared, options)
    settings = {
        "models": [{"name": m.name, "model": m.model, "sha256": m.sha256} for m in compared],
        **{key: str(v) if isinstance(v, Path) else v for key, v in options.items()},
        "data": str(data),
        "genuine_files": [faces.name for faces in found],
    }
    return Report(settings, on_pairs, on_genuine, text, rows, tools.notes, tools.seconds)


def _video(compared: Sequence[Method], options: dict[str, Any]) -> tuple[str, list[Any]]:
    """The table of the videos and its rows; empty if there are none."""
    if not options["videos"]:
        return "", []
    from crsr_video.evaluation import video

    rows = video.measure_videos(
        [method.model for method in compared if method.model],
        options["videos"],
        limit=options["limit"],
        seed=options["seed"],
        progress=sys.stderr.isatty(),
    )
    return video.as_text(rows), video.as_dicts(rows)


def _opened(paths: Sequence[Path]) -> list[genuine_faces.GenuineFaces]:
    """Files of genuine faces. Raises ConfigError: two of one name."""
    if len({path.stem for path in paths}) < len(paths):
        raise ConfigError("two files of genuine faces have the same name")
    return [
        # Arrays come from detection data; packs were cut by the project's own alignment.
        genuine_faces.GenuineFaces(
            path.stem, Genuine(path, "val"), NPZ_FRAME if path.suffix == ".npz" else CANONICAL
        )
        for path in paths
    ]


if __name__ == "__main__":
    try:
        main()
    except CrsrError as error:
        sys.exit(f"error: {error}")
