"""Read weights of other projects' networks that are stored in PyTorch files."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from crsr_video.errors import WeightsError

_Network = TypeVar("_Network")


def read_state(path: Path, build: Callable[[dict[str, Tensor]], _Network]) -> _Network:
    """Build a network from the tensors in a PyTorch file.

    Raises:
        WeightsError: The file cannot be read, or holds other tensors.
    """
    try:
        return build(torch.load(path, map_location="cpu", weights_only=True))
    except (
        OSError,
        EOFError,
        RuntimeError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        pickle.UnpicklingError,
    ) as error:
        raise WeightsError(f"cannot read {path}: {error}") from error
