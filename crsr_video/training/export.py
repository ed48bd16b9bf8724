"""Export the averaged weights of a training run as one safetensors file in half precision."""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialise
from torch import Tensor, nn

from crsr_video.errors import TrainingError
from crsr_video.files import write_file
from crsr_video.training.run import KINDS, Run
from crsr_video.weights import FORMAT, NetworkPair

LARGEST_BYTES = 24 * 2**20
"""Limit of the file's size, because weights travel inside the package."""

_SHIPPED = ("consistifier", "superresolver")


@dataclass(frozen=True)
class Anchor:
    """Earlier weights, towards which exported weights are moved.

    The mean of the weights before and after fine-tuning is as good as the earlier weights on their
    own task, and keeps most of what fine-tuning has added. Source: Wortsman et al. 2022, "Robust
    fine-tuning of zero-shot models".
    """

    pair: NetworkPair
    share: float
    """Share of the anchor, 0 to 1. The texture head, which the anchor lacks, stays as it is."""

    def mixed(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors by full name, moved towards the anchor.

        Raises:
            TrainingError: The anchor has a network of another shape.
        """
        anchor = {
            f"{name}.{key}": value
            for name in _SHIPPED
            for key, value in getattr(self.pair, name).state_dict().items()
        }
        result = {}
        for name, value in tensors.items():
            is_tail = name.startswith("superresolver.tail.")
            other = value if is_tail else anchor.get(name)
            if other is None or other.shape != value.shape:
                raise TrainingError(f"the anchor '{self.pair.name}' has no {name} of this shape")
            result[name] = value.lerp(other, self.share)
        return result


def export(run: Run, path: Path, anchor: Anchor | None = None) -> Path:
    """Write the averaged weights of a run as float16.

    Args:
        run: A run with a super-resolver.
        path: Path of the safetensors file; its folder is created if it is missing.
        anchor: Earlier weights, towards which the weights are moved.

    Raises:
        TrainingError: The run has no super-resolver, a weight is not finite in float16, the file is
            too large to ship, or it cannot be written.
    """
    found = shipped_tensors(run) if anchor is None else anchor.mixed(shipped_tensors(run))
    tensors = {name: value.half().contiguous() for name, value in found.items()}
    broken = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise TrainingError(f"weights are not finite in float16: {', '.join(broken[:3])}")
    content = in_order(serialise(tensors, metadata(run)))
    if len(content) > LARGEST_BYTES:
        raise TrainingError(f"the weights are larger than {LARGEST_BYTES} bytes")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, [content])
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error
    return path


def shipped_tensors(run: Run) -> dict[str, Tensor]:
    """Return the averaged weights that are shipped, by full name, float32.

    Raises:
        TrainingError: The run has no super-resolver.
    """
    if "superresolver" not in run.averages:
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
