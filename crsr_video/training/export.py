"""Export the averaged weights of a training run as one safetensors file in half precision."""

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from crsr_video import weights
from crsr_video.errors import TrainingError
from crsr_video.files import write_file
from crsr_video.training.run import KINDS, Run
from crsr_video.weights import FORMAT

LARGEST_BYTES = 24 * 2**20
"""Limit of the file's size, because weights travel inside the package."""

_SHIPPED = ("consistifier", "superresolver", "background")


def export(run: Run, path: Path, faithful: Path | None = None) -> Path:
    """Write the averaged weights of a run as float16.

    Args:
        run: A run with a super-resolver, or with the network for whole frames.
        path: Path of the safetensors file; its folder is created if it is missing.
        faithful: Weights from which the run was started. If they are given, the file holds their
            networks for texture 0, and the run's networks for full texture.

    Raises:
        TrainingError: The run has no such network, a weight is not finite in float16, the file is
            too large to ship, or it cannot be written.
        WeightsError: The faithful weights cannot be used.
    """
    found, header = shipped_tensors(run), metadata(run)
    if faithful is not None:
        found, header = _with_faithful(found, header, faithful)
    tensors = {name: value.half().contiguous() for name, value in found.items()}
    broken = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise TrainingError(f"weights are not finite in float16: {', '.join(broken[:3])}")
    content = in_order(serialise(tensors, header))
    if len(content) > LARGEST_BYTES:
        raise TrainingError(f"the weights are larger than {LARGEST_BYTES} bytes")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, [content])
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error
    return path


def _with_faithful(
    textured: dict[str, Tensor], header: dict[str, str], faithful: Path
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the header of faithful weights, with those of textured ones added."""
    weights.load(str(faithful))  # Raises if the file cannot be used.
    with safe_open(faithful, framework="pt") as file:
        known = file.metadata()
        plain = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    # The texture head of the faithful weights is replaced, so that it is left out.
    dropped = (weights.TEXTURED, "superresolver.tail.")
    tensors = {name: value for name, value in plain.items() if not name.startswith(dropped)}
    tensors |= {f"{weights.TEXTURED}{name}": value for name, value in textured.items()}
    merged = {name: known[name] for name in _SHIPPED if name in known}
    merged["superresolver"] = json.dumps(json.loads(known["superresolver"]) | {"tail": 0})
    merged |= {f"{weights.TEXTURED}{name}": header[name] for name in _SHIPPED if name in header}
    history = json.loads(known["history"]) + json.loads(header["history"])
    return tensors, {**header, **merged, "history": json.dumps(history)}


def shipped_tensors(run: Run) -> dict[str, Tensor]:
    """Return the averaged weights that are shipped, by full name, float32.

    Raises:
        TrainingError: The run has neither a super-resolver nor the network for whole frames.
    """
    if not {"superresolver", "background"} & set(run.averages):
        raise TrainingError(f"a run of '{run.method}' has no super-resolver to export")
    return {
        f"{name}.{key}": value.cpu()
        for name in _SHIPPED
        if name in run.averages
        for key, value in run.average(name).state_dict().items()
    }


def in_order(data: bytes) -> bytes:
    """Sort the names in the header of a safetensors file, so that equal weights make equal files.

    The library writes metadata in random order. The format is the header's length (8 bytes, little
    endian), the header as JSON, padded with spaces to whole words, and the tensors.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def metadata(run: Run) -> dict[str, str]:
    """Return the header: how to build the networks, and which run they come from."""
    built = {
        name: _arguments(KINDS[run.specs[name].kind], run.specs[name].arguments)
        for name in _SHIPPED
        if name in run.averages
    }
    history = [{"method": run.method, "steps": run.step, "planned": run.planned, "seed": run.seed}]
    return {"format": FORMAT, **built, "history": json.dumps(history), "licence": "MIT"}


def _arguments(network: type[nn.Module], given: dict[str, Any]) -> str:
    """Constructor arguments as JSON. Defaults are written too, because they may change."""
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(network).parameters.items()
    }
    return json.dumps({**defaults, **given})
