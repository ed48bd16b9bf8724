"""From a training checkpoint to weights that can be shipped: safetensors, half precision."""

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialise
from torch import nn

from crsr_video.errors import TrainingError
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.training.state import State
from crsr_video.weights import FORMAT

LARGEST = 10 * 2**20
"""Bytes: weights travel inside the package."""


def export(state: State, path: Path) -> Path:
    """Write the averaged weights of both networks as float16.

    Args:   path: of the safetensors file; its folder is made if missing.
    Raises: TrainingError: a weight is not finite in float16, the file is too large to ship, or
            it cannot be written.
    """
    tensors = {
        name: value.half().contiguous() for name, value in state.average.state_dict().items()
    }
    broken = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise TrainingError(f"weights are not finite in float16: {', '.join(broken[:3])}")
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(in_order(serialise(tensors, metadata(state))))
        if part.stat().st_size > LARGEST:
            raise TrainingError(f"weights are larger than {LARGEST} bytes")
        part.replace(path)
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def in_order(data: bytes) -> bytes:
    """A safetensors file with its header's names sorted: equal weights make equal files.

    The library writes metadata in random order. The format is the header's length (8 bytes, little
    endian), the header as JSON, padded with spaces to whole words, and the tensors.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def metadata(state: State) -> dict[str, str]:
    """The header: how to build the networks, and which run they come from."""
    return {
        "format": FORMAT,
        "consistifier": _arguments(Consistifier, state.arguments["consistifier"]),
        "superresolver": _arguments(SuperResolver, state.arguments["superresolver"]),
        "step": str(state.step),
        "planned": str(state.planned),
        "seed": str(state.seed),
        "licence": "MIT",
    }


def _arguments(network: type[nn.Module], given: dict[str, Any]) -> str:
    """Constructor arguments as JSON, defaults written out: they may change one day."""
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(network).parameters.items()
    }
    return json.dumps({**defaults, **given})
