"""Give the networks to other programs, as ONNX or TorchScript, checked against our own.

How such a file is used is told in ``usage.md`` beside this module.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from crsr_video import __version__, weights
from crsr_video.errors import OutputError
from crsr_video.export import formats, modules, parity
from crsr_video.export.modules import PARTS, Part
from crsr_video.files import replacing

__all__ = ["FORMATS", "PARTS", "PRECISIONS", "Exported", "Format", "Part", "Precision", "export"]

Format = Literal["onnx", "torchscript"]
Precision = Literal["fp32", "fp16"]
FORMATS: tuple[Format, ...] = get_args(Format)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}

BOUNDS = {"fp32": 1e-4, "fp16": 2e-2}
"""How far the file's result may be from ours, of 1, by precision: what rounding explains."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    path: Path
    difference: float | None
    """Largest, of 1, between its result and ours; None: nothing here can run it."""
    pictures: int
    """On how many that was measured."""


def export(
    model: str,
    path: Path,
    *,
    format: Format = "onnx",  # noqa: A002 (what the user calls it)
    part: Part = "pair",
    precision: Precision = "fp32",
    overwrite: bool = False,
) -> Exported:
    """Write one network of a model, or both chained, and compare what the file computes with ours.

    The file gets its name only after it has passed.
    Args:   model: a shipped name or a safetensors file.
    Raises: WeightsError. OutputError: the file exists, or cannot be written.
            ExportError: an extra is missing, or the file computes something else.
    """
    _refuse(path, overwrite)
    pair = weights.load(model)
    told = _metadata(pair, part, precision)
    try:
        with replacing(path, keep_existing=not overwrite) as temporary:
            temporary.touch()
            module = modules.portable(weights.load(model), part, _DTYPES[precision])
            if format == "onnx":
                formats.write_onnx(module, temporary, told)
                opened = formats.open_onnx(temporary)
            else:
                formats.write_torchscript(module, temporary, told)
                opened = formats.open_torchscript(temporary)
            found = parity.check(pair, part, opened, BOUNDS[precision]) if opened else None
    except FileExistsError:
        raise OutputError(f"'{path}' exists: give --overwrite to replace it") from None
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error
    return Exported(path, found, len(parity.SHAPES) * 2 if found is not None else 0)


def _refuse(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise OutputError(f"cannot write '{path}': it is a folder")
    if path.exists() and not overwrite:
        raise OutputError(f"'{path}' exists: give --overwrite to replace it")
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        reason = "is not writable" if path.parent.is_dir() else "does not exist"
        raise OutputError(f"cannot write '{path}': its folder {reason}")


def _metadata(pair: weights.Pair, part: Part, precision: Precision) -> dict[str, str]:
    """What whoever finds the file should know; texts only, as ONNX wants them."""
    factor = 1 if part == "consistifier" else 4
    shipped = pair.name in {item.name for item in weights.shipped()}
    return {
        "name": f"crsr-video {pair.name} {part}",
        "version": __version__,
        "licence": "MIT" if shipped else "of the weights it was made from",
        "weights_sha256": pair.sha256,
        "precision": precision,
        "opset": str(formats.OPSET),
        "input": f"{formats.INPUT}: float32 (N, 3, H, W), RGB, [0, 1], H and W multiples of 4",
        "output": f"{formats.OUTPUT}: float32 (N, 3, {factor}H, {factor}W), RGB, not clipped",
    }
