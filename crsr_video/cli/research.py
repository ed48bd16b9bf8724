"""``crsr-video export``, ``prepare``, ``harvest`` and ``train``: export and training of networks.

The options of the training commands are declared beside the training code, which imports torch. The
commands in this module only pass their arguments on to it.
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

    The file accepts any batch size, and any height and width that are multiples of 4. Before it is
    saved, its results are compared with those of crsr-video's own networks. If they differ by more
    than rounding, no file is saved.

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
    """Return a command that passes its arguments on to the training command of the same name."""

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
