"""The ``evaluate`` commands, which measure the quality of weights, of results and of tracking."""

from pathlib import Path
from typing import Any

import click

from crsr_video.cli import options, process
from crsr_video.cli.commands import Common, command, option, section
from crsr_video.cli.values import NamedFile, NumberList, WholeNumber, one_of

_FILE = NamedFile(dir_okay=False)
_FOLDER = NamedFile(file_okay=False)
_EXISTING = click.Path(path_type=Path, exists=True)
_TIERS = (16, 32, 64, 128)


@command(short_help="Measure the quality of weights.")
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
        type=NumberList(_TIERS, f"one of {', '.join(map(str, _TIERS))}", "PX,PX"),
        default="32,64,128",
        help="Use inputs of these sizes; 16 is the size in the paper.",
    ),
    option(
        "--framing",
        type=one_of(["canonical", "wider"]),
        default="canonical",
        help="Show the part of the head that the models were trained to see.",
    ),
    option("--limit", type=WholeNumber(1), help="Limit the faces of each row, and the videos."),
    option(
        "--degradations",
        "fixed",
        is_flag=True,
        help="Use fixed degradations, with a row for each, instead of random ones.",
    ),
    option("--by-tone", is_flag=True, help="Add rows for each group of skin tones."),
    options.SEED.but(help="Seed of the degradations."),
    option(
        "--genuine",
        type=_EXISTING,
        multiple=True,
        help="Measure on real low-resolution faces too; may be repeated.",
    ),
    option(
        "--genuine-faces",
        type=WholeNumber(2),
        default=1000,
        help="Limit the real faces of each file and input size.",
    ),
    option(
        "--reference",
        type=WholeNumber(2),
        default=1000,
        help="Compare real faces with this many photographs.",
    ),
    option(
        "--videos",
        type=click.Path(path_type=Path, file_okay=False),
        help="Degrade, restore and measure the sharp clips of this folder.",
    ),
)
@section(
    "Output",
    options.OUTPUT.but(type=_FOLDER, help="Write report, results and a sheet into this folder."),
    option("--json", "json_file", type=_FILE, help="Write the results to this file."),
    option("--sheet", type=_FILE, help="Write a contact sheet (PNG) of all models."),
    option(
        "--sheet-faces",
        type=WholeNumber(1),
        default=4,
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
        type=WholeNumber(1),
        default=1,
        help="Run the networks on this many CPU threads.",
    ),
)
def evaluate(
    models: tuple[str, ...],
    output: Path | None,
    json_file: Path | None,
    sheet: Path | None,
    sheet_faces: int,
    real: bool,
    blind: Path | None,
    threads: int,
    **values: Any,
) -> None:
    """Compare every MODEL with bicubic enlargement.

    A MODEL is the name of shipped weights, a .safetensors file, or the folder of a training run.
    MODEL:psi is its super-resolver alone, and MODEL:texture=0.5 is between faithful and textured.

    \b
    crsr-video evaluate fast --data faces.pack -o results
    crsr-video evaluate fast mine.safetensors --data faces.pack --videos clips --json results.json
    """
    # Imported here because torch takes seconds, and wrong options should fail at once.
    from crsr_video.evaluation.run import Evaluation, EvaluationSettings
    from crsr_video.track import litert

    process.limit_research_threads(threads)
    litert.prepare_process()
    with Evaluation(models, EvaluationSettings(**values)) as evaluation:
        if blind is not None:
            evaluation.write_blind_sheet(blind)
            return
        report = evaluation.measure()
        click.echo(report.as_text())
        report.save(data=json_file)
        if output is not None:
            report.save(markdown=output / "evaluation.md", data=output / "evaluation.json")
        for path in (sheet, output and output / "sheet.png"):
            if path is not None:
                evaluation.write_sheet(path, faces=sheet_faces, real=real)


@command("evaluate-results", short_help="Measure flicker and sharpness of finished videos.")
@click.argument("source", type=_EXISTING)
@click.argument("results", metavar="RESULT...", type=_EXISTING, nargs=-1, required=True)
@section(
    "Options",
    option("--frames", type=WholeNumber(2), help="Measure only this many frames."),
    option("--json", "json_file", type=_FILE, help="Write the results to this file."),
    option(
        "--slices",
        type=_FILE,
        help="Write a PNG with the row through the eyes, frame below frame.",
    ),
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


@command("evaluate-background", short_help="Measure the network for whole frames.")
@click.argument("source", type=_EXISTING)
@section(
    "Options",
    option(
        "--model",
        type=_EXISTING,
        help="Measure this training run or .safetensors file.  [default: the shipped weights]",
    ),
    option("--limit", type=WholeNumber(1), help="Measure only this many pictures or frames."),
    option("--threads", type=WholeNumber(1), default=1, help="CPU threads of the networks."),
)
def evaluate_background(source: Path, model: Path | None, limit: int | None, threads: int) -> None:
    """Measure the network on SOURCE: a folder of pictures, or a video.

    Pictures that were not used in training are degraded and restored at scales 1, 2 and 4. The
    results are compared with Lanczos enlargement, and at scale 1 with the degraded input. For a
    video, the flicker of the result at scale 1 is given, relative to that of the video.

    \b
    crsr-video evaluate-background heldout --model run
    crsr-video evaluate-background clip.mp4 --limit 24
    """
    # Imported here because torch takes seconds, and wrong options should fail at once.
    from crsr_video.evaluation import background

    process.limit_research_threads(threads)
    if source.is_dir():
        click.echo(background.as_text(background.measure(source, model, limit)))
    else:
        row = background.measure_flicker(source, model, limit)
        click.echo(background.flicker_as_text(row))


@command("evaluate-paper", short_help="Compare the method of the paper with its baselines.")
@click.argument("faces", type=_EXISTING)
@section(
    "Options",
    option(
        "--genuine",
        type=_EXISTING,
        required=True,
        help="Real low-resolution faces of about 16 pixels: a harvested pack or an .npz.",
    ),
    options.OUTPUT.but(
        type=_FOLDER, required=True, help="Write runs, weights and report into this folder."
    ),
    option(
        "--seeds",
        type=NumberList(range(10_000), "a number from 0 to 9999", "N,N"),
        default="1,2,3",
        help="Train every method once with each of these seeds.",
    ),
    option("--steps", type=WholeNumber(1), default=2000, help="Steps of every method."),
    option("--size", default="small", help="Network size: small or fast."),
    option("--limit", type=WholeNumber(3), help="Limit the measured faces of each kind."),
)
@click.pass_obj
def evaluate_paper(common: Common, /, output: Path, **values: Any) -> None:
    """Train all methods on FACES with equal steps and several seeds, and compare them.

    This takes hours. Finished runs in the output folder are not repeated, so the same command
    continues. Differences are given with intervals of a paired bootstrap.

    \b
    crsr-video evaluate-paper faces.pack --genuine wider16.npz -o protocol
    """
    # Imported here because torch takes seconds, and wrong options should fail at once.
    from crsr_video.evaluation.protocol import ProtocolSettings, compare
    from crsr_video.evaluation.report import write

    process.limit_research_threads(1)
    text = compare(ProtocolSettings(folder=output, **values), on_run=common.announce)
    write(output / "protocol.md", text)
    click.echo(text + f"\nwrote {output / 'protocol.md'}")


@command("evaluate-tracking", short_help="Measure face tracking on scenes with ground truth.")
@section(
    "Options",
    option(
        "--scenes",
        metavar="NAMES",
        help="Measure only these, such as crossing,cuts.  [default: all]",
    ),
    option("--list", "only_list", is_flag=True, help="List the scenes and stop."),
    option(
        "--people",
        "only_people",
        is_flag=True,
        help="Measure instead how many people keep their number after cuts. --faces names a folder"
        " with several pictures of some people.",
    ),
    option(
        "--clip",
        type=_EXISTING,
        help="Measure instead how many of the faces in --boxes are found in this video.",
    ),
    option(
        "--boxes",
        "boxes_file",
        type=_EXISTING,
        help="Take the faces of --clip from this CSV file with the columns frame, x0, y0, x1, y1.",
    ),
    option("--frames", type=WholeNumber(1), help="Limit each scene to this many frames."),
    option(
        "--faces",
        type=_EXISTING,
        help="Draw faces from a pack of the prepare command, or from a folder with faces.csv."
        "  [default: a portrait of scikit-image, varied]",
    ),
    option(
        "--backgrounds",
        type=_EXISTING,
        help="Draw backgrounds from a picture or video without faces, or a folder of them."
        "  [default: generated]",
    ),
    option("--live", is_flag=True, help="Track without lookahead."),
    options.MIN_FACE.but(help="Skip faces that are narrower than this many pixels."),
    options.SEED.but(help="Seed of the random scenes."),
    option("--json", "json_file", type=_FILE, help="Write all results to this file."),
    option("--video", type=_FOLDER, help="Write a video of each scene into this folder."),
)
@click.pass_obj
def evaluate_tracking(
    common: Common,
    /,
    scenes: str | None,
    only_list: bool,
    only_people: bool,
    clip: Path | None,
    boxes_file: Path | None,
    live: bool,
    json_file: Path | None,
    **values: Any,
) -> None:
    """Draw scenes with known faces, track them, and measure how many tracks are right.

    \b
    crsr-video evaluate-tracking --faces faces.pack --backgrounds rooms
    crsr-video evaluate-tracking --scenes crossing,occlusion --live --video overlays
    crsr-video evaluate-tracking --people --faces portraits
    crsr-video evaluate-tracking --clip street.mp4 --boxes street.csv
    """
    # Imported here because wrong options should fail at once.
    from crsr_video.evaluation.tracking import running, suite

    if only_list:
        click.echo("\n".join(suite.NAMES))
        return
    if (clip is None) != (boxes_file is None):
        raise click.UsageError("--clip and --boxes need each other")
    chosen = suite.scenes([name for name in (scenes or "").split(",") if name])
    settings = running.SceneSettings(lookahead=0 if live else 8, **values)

    if clip and boxes_file:
        from crsr_video.evaluation.tracking import recall

        report = recall.measure(clip, boxes_file, settings)
    elif only_people:
        from crsr_video.evaluation.tracking import recurring

        if settings.faces is None:
            raise click.UsageError("--people needs --faces")
        report = recurring.measure(settings.faces, settings, common.announce)
    else:
        report = running.measure(chosen, settings, common.announce)
    click.echo(report.text)
    if json_file:
        report.save(json_file)
