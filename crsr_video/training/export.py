"""From training runs to weights that can be shipped: one safetensors file, half precision."""

import inspect
import json
from collections.abc import Sequence
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

_SHIPPED = ("consistifier", "superresolver", "memory")


def export(runs: Sequence[Run], path: Path, *, texture: float = 1.0) -> Path:
    """Write the averaged weights of one or more runs as float16.

    Args:   runs: the first holds the networks; one of method "temporal" adds a memory, one of
            method "detail" adds texture. They must have begun from the first.
            path: of the safetensors file; its folder is made if missing.
            texture: share of the way from faithful to what was trained for texture that the file's
            own full texture goes; a critic's short training draws a grid before it draws skin.
    Raises: TrainingError: runs that do not belong together, no super-resolver, a weight that is
            not finite in float16, a file too large to ship, or one that cannot be written.
    """
    tensors = _halves(collected(runs, texture))
    content = in_order(serialise(tensors, metadata(runs)))
    if len(content) > LARGEST:
        raise TrainingError(f"weights are larger than {LARGEST} bytes")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, [content])
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error
    return path


def collected(runs: Sequence[Run], texture: float = 1.0) -> dict[str, Tensor]:
    """All that is shipped of some runs, by full name, float32."""
    first, *others = runs
    if "superresolver" not in first.averages:
        raise TrainingError(f"a run of '{first.method}' holds no super-resolver to export")
    tensors = _named(first, [name for name in _SHIPPED if name in first.averages])
    for run in others:
        if run.method == "temporal":
            _check_same_networks(tensors, run, ("consistifier.", "superresolver."))
            tensors |= _named(run, ["memory"])
        elif run.method == "detail":
            only = run.parts["superresolver"].only
            fixed = tuple(
                name
                for name in tensors
                if name.startswith("consistifier.")
                or not name.removeprefix("superresolver.").startswith((*only, "memory."))
            )
            _check_same_networks(tensors, run, fixed)
            tensors |= {
                f"texture.{name}": tensors[f"superresolver.{name}"].lerp(value.cpu(), texture)
                for name, value in run.average("superresolver").state_dict().items()
                if name.startswith(only)
            }
        else:
            raise TrainingError(f"a run of '{run.method}' adds nothing to another's weights")
    return tensors


def _named(run: Run, names: list[str]) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.cpu()
        for name in names
        for key, value in run.average(name).state_dict().items()
    }


def _check_same_networks(tensors: dict[str, Tensor], run: Run, prefixes: tuple[str, ...]) -> None:
    """What a later run left alone must be what the first one made."""
    theirs = _named(run, [name for name in _SHIPPED if name in run.averages])
    for name, value in tensors.items():
        if name.startswith(prefixes) and not torch.equal(value, theirs.get(name, torch.empty(0))):
            raise TrainingError(f"the run of '{run.method}' began from other weights: {name}")


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


def metadata(runs: Sequence[Run]) -> dict[str, str]:
    """The header: how to build the networks, and which runs they come from."""
    built: dict[str, str] = {}
    for run in runs:
        for name in _SHIPPED:
            if name in run.averages:
                part = run.parts[name]
                built.setdefault(name, _arguments(KINDS[part.kind], part.arguments))
    history = [
        {"method": run.method, "steps": run.step, "planned": run.planned, "seed": run.seed}
        for run in runs
    ]
    return {"format": FORMAT, **built, "history": json.dumps(history), "licence": "MIT"}


def _arguments(network: type[nn.Module], given: dict[str, Any]) -> str:
    """Constructor arguments as JSON, defaults written out: they may change one day."""
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(network).parameters.items()
    }
    return json.dumps({**defaults, **given})
