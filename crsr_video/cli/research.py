"""Commands for researchers: export, training, evaluation.

The options of training and evaluation are declared beside their code, which imports torch; here
the arguments are passed on.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crsr_video.cli.options import NamedFile, refuse_standard_output

if TYPE_CHECKING:
    from crsr_video.export import Format, Part, Precision

_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


@click.command(short_help="Write the networks as ONNX or TorchScript.")
@click.argument("model")
@click.option(
    "-o",
    "--output",
    type=NamedFile(),
    help="Write the file here.  [default: MODEL-PART.onnx or .pt]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "torchscript"]),
    default="onnx",
    show_default=True,
    help="Write this format; ONNX needs the extra 'export'.",
)
@click.option(
    "--part",
    type=click.Choice(["consistifier", "superresolver", "pair"]),
    default="pair",
    show_default=True,
    help="Write one network, or both chained.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Store the weights in this format; input and output stay fp32.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.pass_obj
def export(
    quiet: bool,
    model: str,
    format_: "Format",
    part: "Part",
    precision: "Precision",
    output: Path | None,
    overwrite: bool,
) -> None:
    """Write the networks of MODEL (a shipped name or a .safetensors file) for other programs.

    Batch, height and width stay free. The file is run and compared with crsr-video's own networks
    before it gets its name; it is refused if the difference exceeds rounding.

    \b
    crsr-video export fast
    crsr-video export fast --part superresolver --precision fp16 -o sr.onnx
    """
    from crsr_video.export import export as write

    suffix = {"onnx": ".onnx", "torchscript": ".pt"}[format_]
    path = output or Path(f"{Path(model).stem}-{part}{suffix}")
    done = write(
        model,
        path,
        format=format_,
        part=part,
        precision=precision,
        overwrite=overwrite,
    )
    if not quiet:
        click.echo(f"{done.path}: {_comparison_text(done.difference, done.pictures)}")


def _comparison_text(difference: float | None, batches: int) -> str:
    if difference is None:
        return "not compared, because ONNX Runtime is not installed"
    found = f"{difference:.2g} (white is 1) in {batches} batches"
    return f"differs from crsr-video's result by at most {found}"


def _training_command(name: str, text: str) -> click.Command:
    """A command that passes its arguments on to the command of the same name in training."""

    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        refuse_standard_output(arguments)
        from crsr_video.training.__main__ import main

        main.commands[name].main(
            args=list(arguments), prog_name=f"crsr-video {name}", standalone_mode=False
        )

    command.__doc__ = text
    return click.command(name, short_help=text, context_settings=_PASS_ON)(command)


prepare = _training_command("prepare", "Pack the faces of a folder of pictures for training.")
harvest = _training_command("harvest", "Cut real low-resolution faces out of videos.")
train = _training_command("train", "Train the networks, and export weights.")


@click.command(
    short_help="Measure the quality of weights on stills and videos.", context_settings=_PASS_ON
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def evaluate(arguments: tuple[str, ...]) -> None:
    """Measure the quality of weights on faces of the held-out set."""
    refuse_standard_output(arguments)
    from crsr_video.evaluation.__main__ import main

    main(args=list(arguments), prog_name="crsr-video evaluate", standalone_mode=False)


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
