"""``crsr-video export``: the networks for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crsr_video.cli.files import NamedFile

if TYPE_CHECKING:
    from crsr_video.export import Format, Part, Precision


@click.command(short_help="Write the networks as ONNX or TorchScript.")
@click.argument("model")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "torchscript"]),
    default="onnx",
    show_default=True,
    help="ONNX needs the extra 'export'.",
)
@click.option(
    "--part",
    type=click.Choice(["consistifier", "superresolver", "pair"]),
    default="pair",
    show_default=True,
    help="One network, or both chained.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Of the weights; what goes in and out is fp32.",
)
@click.option(
    "-o",
    "--output",
    type=NamedFile(),
    help="Where to write; by default MODEL-PART.onnx or .pt here.",
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

    Batch, height and width stay free. The file is run and compared with our own networks before
    it gets its name; a larger difference than rounding explains is refused.
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
        click.echo(f"{done.path}: {_checked(done.difference, done.pictures)}")


def _checked(difference: float | None, pictures: int) -> str:
    if difference is None:
        return "not checked, since ONNX Runtime is not installed"
    return f"differs from our own result by {difference:.2g} of 1 at most, on {pictures} batches"
