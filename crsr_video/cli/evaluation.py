"""``crsr-video evaluate`` and its relatives: quality of weights, of results and of tracking."""

from pathlib import Path
from typing import Any

import click

from crsr_video.cli.options import NamedFile, NumberList, SectionCommand, option, section

_FILE = NamedFile(dir_okay=False)
_FOLDER = NamedFile(file_okay=False)
_EXISTING = click.Path(path_type=Path, exists=True)
_TIERS = (16, 32, 64, 128)


class _Tiers(NumberList):
    """Input sizes of the networks."""

    name = "PX,PX"

    def __init__(self) -> None:
        super().__init__(_TIERS, f"one of {', '.join(map(str, _TIERS))}")


@click.command(cls=SectionCommand, short_help="Measure the quality of weights.")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@section(
    "Data",
    option(
        "--data",
        type=click.Path(path_type=Path),
        required=True,
        help="Measure on the held-out faces of this pack of the prepare command.",
    ),
    option(
        "--tiers",
        metavar="PX,PX",
        type=_Tiers(),
        default="32,64,128",
        show_default=True,
        help="Use inputs of these sizes; 16 is the size in the paper.",
    ),
    option(
        "--framing",
        type=click.Choice(["canonical", "wider"]),
        default="canonical",
        show_default=True,
        help="Show the part of the head that the models were trained to see.",
    ),
    option("--limit", type=click.IntRange(1), help="Limit the faces of each row, and the videos."),
    option(
        "--degradations",
        "fixed",
        is_flag=True,
        help="Use fixed degradations, with a row for each, instead of random ones.",
    ),
    option("--by-tone", is_flag=True, help="Add rows for each group of skin tones."),
    option("--seed", type=int, default=0, show_default=True, help="Seed of the degradations."),
    option(
        "--genuine",
        type=_EXISTING,
        multiple=True,
        help="Measure on real low-resolution faces too; may be repeated.",
    ),
    option(
        "--genuine-faces",
        type=click.IntRange(2),
        default=1000,
        show_default=True,
        help="Limit the real faces of each file and input size.",
    ),
    option(
        "--reference",
        type=click.IntRange(2),
        default=1000,
        show_default=True,
        help="Compare real faces with this many photographs.",
    ),
    option(
        "--inception",
        type=_FILE,
        help="Measure FID with this TorchScript file of an Inception network.",
    ),
    option(
        "--videos",
        type=click.Path(path_type=Path, file_okay=False),
        help="Degrade, restore and measure the sharp clips of this folder.",
    ),
)
@section(
    "Output",
    option("-o", "out", type=_FOLDER, help="Write report, results and a sheet into this folder."),
    option("--json", "json_file", type=_FILE, help="Write the results to this file."),
    option("--sheet", type=_FILE, help="Write a contact sheet (PNG) of all models."),
    option(
        "--sheet-faces",
        type=click.IntRange(1),
        default=4,
        show_default=True,
        help="Show this many faces of each input size, and half as many real ones.",
    ),
    option("--real", is_flag=True, help="Show photographs instead of synthetic faces."),
    option(
        "--blind",
        type=_FILE,
        help="Write only a blind comparison of two models (PNG), with its key beside it.",
    ),
)
@section(
    "Networks",
    option("--bf16", is_flag=True, help="Run the networks at bf16."),
    option(
        "--threads",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Run the networks on this many CPU threads.",
    ),
)
def evaluate(
    models: tuple[str, ...],
    out: Path | None,
    json_file: Path | None,
    sheet: Path | None,
    sheet_faces: int,
    real: bool,
    blind: Path | None,
    threads: int,
    **values: Any,
) -> None:
    """Compare every MODEL with bicubic enlargement.

    A MODEL is the name of shipped weights or a .safetensors file. MODEL:psi is its super-resolver
    alone, and MODEL:texture=0.5 is between faithful and textured.

    \b
    crsr-video evaluate fast --data faces.pack -o results
    crsr-video evaluate fast mine.safetensors --data faces.pack --videos clips --json results.json
    """
    # Imported here because torch takes seconds, and wrong options should fail at once.
    import torch

    from crsr_video.evaluation.run import Evaluation, Settings

    torch.set_num_threads(threads)
    evaluation = Evaluation(models, Settings(**values))
    if blind is not None:
        evaluation.write_blind_sheet(blind)
        return
    report = evaluation.measure()
    click.echo(report.as_text())
    report.save(data=json_file)
    if out is not None:
        report.save(markdown=out / "evaluation.md", data=out / "evaluation.json")
    for path in (sheet, out and out / "sheet.png"):
        if path is not None:
            evaluation.write_sheet(path, faces=sheet_faces, real=real)


@click.command("evaluate-results", short_help="Measure flicker and sharpness of finished videos.")
@click.argument("source", type=_EXISTING)
@click.argument("results", metavar="RESULT...", type=_EXISTING, nargs=-1, required=True)
@click.option("--frames", type=click.IntRange(min=2), help="Measure only this many frames.")
@click.option("--json", "json_file", type=_FILE, help="Write the results to this file.")
@click.option(
    "--slices", type=_FILE, help="Write a PNG with the row through the eyes, frame below frame."
)
def evaluate_results(
    source: Path,
    results: tuple[Path, ...],
    frames: int | None,
    json_file: Path | None,
    slices: Path | None,
) -> None:
    """Compare each RESULT with its SOURCE: flicker, and the gain of fine detail in faces.

    Flicker is the change from frame to frame that the motion of the source does not explain,
    divided by that of the source. It is also measured after the fine detail was scaled to that of
    the source.

    \b
    crsr-video evaluate-results talk.mp4 talk.old.mp4 talk.new.mp4 --slices slices.png
    """
    # Imported here because torch takes seconds, and wrong options should fail at once.
    from crsr_video.evaluation import results as measured
    from crsr_video.track import litert

    litert.prepare_process()
    measurement = measured.ResultMeasurement(source, results, frames)
    rows = measurement.rows()
    click.echo(measured.as_text(rows))
    if json_file is not None:
        measured.save(json_file, rows)
    if slices is not None:
        measurement.write_slices(slices)


@click.command("evaluate-tracking", short_help="Measure face tracking on scenes with ground truth.")
@click.option(
    "--scenes", metavar="NAMES", help="Measure only these, such as crossing,cuts.  [default: all]"
)
@click.option("--list", "only_list", is_flag=True, help="List the scenes and stop.")
@click.option("--frames", type=click.IntRange(min=1), help="Limit each scene to this many frames.")
@click.option(
    "--faces",
    type=click.Path(path_type=Path, exists=True),
    help="Draw faces from a pack of the prepare command, or from a folder with faces.csv."
    "  [default: a portrait of scikit-image, varied]",
)
@click.option(
    "--backgrounds",
    type=click.Path(path_type=Path, exists=True),
    help="Draw backgrounds from a picture or video without faces, or a folder of them."
    "  [default: generated]",
)
@click.option("--live", is_flag=True, help="Track without lookahead.")
@click.option(
    "--min-face",
    type=click.FloatRange(min=0),
    default=16.0,
    show_default=True,
    metavar="PX",
    help="Skip faces that are narrower than this many pixels.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the random scenes.",
)
@click.option(
    "--json", "json_file", type=NamedFile(dir_okay=False), help="Write all results to this file."
)
@click.option(
    "--video",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a video of each scene into this folder.",
)
@click.pass_obj
def evaluate_tracking(
    quiet: bool,
    scenes: str | None,
    only_list: bool,
    frames: int | None,
    faces: Path | None,
    backgrounds: Path | None,
    live: bool,
    min_face: float,
    seed: int,
    json_file: Path | None,
    video: Path | None,
) -> None:
    """Draw scenes with known faces, track them, and measure how many tracks are right.

    \b
    crsr-video evaluate-tracking --faces faces.pack --backgrounds rooms
    crsr-video evaluate-tracking --scenes crossing,occlusion --live --video overlays
    """
    # Imported here because wrong options should fail at once.
    from crsr_video.evaluation.tracking import running, suite

    if only_list:
        click.echo("\n".join(suite.NAMES))
        return
    chosen = suite.scenes([name for name in (scenes or "").split(",") if name])
    settings = running.Settings(
        faces=faces,
        backgrounds=backgrounds,
        lookahead=0 if live else 8,
        min_face=min_face,
        frames=frames,
        seed=seed,
        video=video,
    )

    def announce(name: str) -> None:
        if not quiet:
            click.echo(f"crsr-video: {name}", err=True)

    report = running.measure(chosen, settings, announce)
    click.echo(report.text)
    if json_file:
        report.save(json_file)
