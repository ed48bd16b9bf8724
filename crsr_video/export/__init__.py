"""Export the networks for other programs, as ONNX or TorchScript files whose results are checked.

`docs/export.md` describes how to use such a file.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from crsr_video import __version__, weights
from crsr_video.errors import OutputError
from crsr_video.export import formats, modules
from crsr_video.export.modules import PARTS, Part
from crsr_video.files import replacing

__all__ = ["FORMATS", "PARTS", "PRECISIONS", "Exported", "Format", "Part", "Precision", "export"]

Format = Literal["onnx", "torchscript"]
Precision = Literal["fp32", "fp16"]
FORMATS: tuple[Format, ...] = get_args(Format)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}

BOUNDS = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest differences from the results of our network that rounding explains, by precision of the
exported network. White is 1."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported file."""

    path: Path
    difference: float | None
    """Largest difference from the results of our network, where white is 1. None if no runtime is
    installed."""
    pictures: int
    """Number of batches on which the difference was measured."""


def export(
    model: str,
    path: Path,
    *,
    format: Format = "onnx",  # noqa: A002 (the name of the option)
    part: Part = "pair",
    precision: Precision = "fp32",
    texture: float = 0.75,
    overwrite: bool = False,
) -> Exported:
    """Export one network of a model, or both, and compare the file with our network.

    The file appears under its name only after it has passed the comparison.

    Args:
        model: Name of a shipped model, or a safetensors file.
        path: The file to write.
        format: The format of the file.
        part: The network to export, or "pair" for both in a chain.
        precision: Precision of the weights and inner layers.
        texture: See `NetworkSettings.texture`.
        overwrite: Replace an existing file.

    Raises:
        WeightsError: The model cannot be loaded.
        OutputError: The file exists, or cannot be written.
        ExportError: An extra is missing, or the results differ.
    """
    _check_path(path, overwrite)
    pair = weights.load(model).with_texture(texture)
    metadata = _metadata(pair, part, precision) | {"texture": f"{texture:g}"}
    try:
        with replacing(path, keep_existing=not overwrite) as temporary:
            temporary.touch()
            module = modules.portable(
                weights.load(model).with_texture(texture), part, _DTYPES[precision]
            )
            if format == "onnx":
                formats.write_onnx(module, temporary, metadata)
                opened = formats.open_onnx(temporary)
            else:
                formats.write_torchscript(module, temporary, metadata)
                opened = formats.open_torchscript(temporary)
            difference = None
            if opened:
                bound = BOUNDS[precision]
                difference = modules.largest_difference(pair, part, opened, bound)
    except FileExistsError:
        raise OutputError(f"'{path}' exists: `overwrite` replaces it") from None
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error
    pictures = 0 if difference is None else 2 * len(modules.SHAPES)
    return Exported(path, difference, pictures)


def _check_path(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise OutputError(f"cannot write '{path}': it is a folder")
    if path.exists() and not overwrite:
        raise OutputError(f"'{path}' exists: `overwrite` replaces it")
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        reason = "is not writable" if path.parent.is_dir() else "does not exist"
        raise OutputError(f"cannot write '{path}': its folder {reason}")


def _metadata(pair: weights.NetworkPair, part: Part, precision: Precision) -> dict[str, str]:
    """Return the metadata of the file. All values are text, because ONNX allows no other type."""
    factor = 1 if part == "consistifier" else 4
    shipped = pair.name in {item.name for item in weights.shipped()}
    return {
        "name": f"crsr-video {pair.name} {part}",
        "version": __version__,
        "licence": "MIT" if shipped else "that of the weights",
        "weights_sha256": pair.sha256,
        "precision": precision,
        "opset": str(formats.OPSET),
        "input": f"{formats.INPUT}: float32 (N, 3, H, W), RGB, [0, 1], H and W multiples of 4",
        "output": f"{formats.OUTPUT}: float32 (N, 3, {factor}H, {factor}W), RGB, not clipped",
    }
