"""From a training run to weights that can be shipped: one safetensors file, half precision."""

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialise
from torch import Tensor, nn

from crsr_video.errors import TrainingError
from crsr_video.files import write_file
from crsr_video.training.run import KINDS, Run
from crsr_video.weights import FORMAT

LARGEST = 24 * 2**20
"""Bytes: weights travel inside the package."""

_SHIPPED = ("consistifier", "superresolver")


def export(run: Run, path: Path) -> Path:
    """Write the averaged weights of a run as float16.

    Args:   path: of the safetensors file; its folder is made if missing.
    Raises: TrainingError: the run has no super-resolver, a weight is not finite in float16, the
            file is too large to ship, or it cannot be written.
    """
    tensors = _halves(shipped_tensors(run))
    content = in_order(serialise(tensors, metadata(run)))
    if len(content) > LARGEST:
        raise TrainingError(f"weights are larger than {LARGEST} bytes")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, [content])
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error
    return path


def shipped_tensors(run: Run) -> dict[str, Tensor]:
    """The averaged weights that are shipped, by full name, float32.

    Raises: TrainingError: the run has no super-resolver.
    """
    if "superresolver" not in run.averages:
        raise TrainingError(f"a run of '{run.method}' has no super-resolver to export")
    return {
        f"{name}.{key}": value.cpu()
        for name in _SHIPPED
        if name in run.averages
        for key, value in run.average(name).state_dict().items()
    }


def _halves(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    halves = {name: value.half().contiguous() for name, value in tensors.items()}
    broken = [name for name, value in halves.items() if not torch.isfinite(value).all()]
    if broken:
        raise TrainingError(f"weights are not finite in float16: {', '.join(broken[:3])}")
    return halves


def in_order(data: bytes) -> bytes:
    """A safetensors file with its header's names sorted: equal weights make equal files.

    The library writes metadata in random order. The format is the header's length (8 bytes, little
    endian), the header as JSON, padded with spaces to whole words, and the tensors.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def metadata(run: Run) -> dict[str, str]:
    """The header: how to build the networks, and which run they come from."""
    built = {
        name: _arguments(KINDS[run.parts[name].kind], run.parts[name].arguments)
        for name in _SHIPPED
        if name in run.averages
    }
    history = [{"method": run.method, "steps": run.step, "planned": run.planned, "seed": run.seed}]
    return {"format": FORMAT, **built, "history": json.dumps(history), "licence": "MIT"}


def _arguments(network: type[nn.Module], given: dict[str, Any]) -> str:
    """Constructor arguments as JSON, defaults written out: they may change one day."""
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(network).parameters.items()
    }
    return json.dumps({**defaults, **given})
