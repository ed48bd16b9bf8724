"""``crsr-video export``: write the networks for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crsr_video.cli import options
from crsr_video.cli.commands import Common, command, option, section
from crsr_video.cli.values import one_of

if TYPE_CHECKING:
    from crsr_video.export import Format, Part, Precision


@command(short_help="Write the networks as ONNX or TorchScript.")
@click.argument("model")
@section(
    "Options",
    options.OUTPUT.but(help="Write the file here.  [default: MODEL-PART.onnx or .pt]"),
    option(
        "--format",
        "format_",
        type=one_of(["onnx", "torchscript"]),
        default="onnx",
        help="Write this format; ONNX needs the extra 'export'.",
    ),
    option(
        "--part",
        type=one_of(["consistifier", "superresolver", "pair"]),
        default="pair",
        help="Write one network, or both chained.",
    ),
    options.PRECISION.but(
        type=one_of(["fp32", "fp16"]),
        default="fp32",
        help="Store the weights in this format; input and output stay fp32.",
    ),
    options.TEXTURE,
    options.OVERWRITE,
)
@click.pass_obj
def export(
    common: Common,
    /,
    model: str,
    format_: "Format",
    part: "Part",
    precision: "Precision",
    texture: float,
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
        texture=texture,
        overwrite=overwrite,
    )
    if not common.quiet:
        click.echo(f"{done.path}: {_comparison_text(done.difference, done.pictures)}")


def _comparison_text(difference: float | None, batches: int) -> str:
    if difference is None:
        return "not compared, because ONNX Runtime is not installed"
    found = f"{difference:.2g} (white is 1) in {batches} batches"
    return f"differs from crsr-video's result by at most {found}"
