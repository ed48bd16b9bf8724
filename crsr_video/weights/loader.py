"""Load and verify the networks of a weights file.

A weights file is one safetensors file. Its tensors are named ``consistifier.*`` and
``superresolver.*``; the header's metadata holds ``format`` ("crsr-video/1") and, as JSON, the
constructor arguments of each network. Only the super-resolver is required. A second pair of
networks of the same sizes, ``textured.consistifier`` and ``textured.superresolver``, draws full
texture. The network for whole frames has a file of its own, whose tensors are named
``background.*``. Pickles are refused, because loading one runs code.
"""

import copy
import json
import math
import os
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from crsr_video.errors import WeightsError, first_lines
from crsr_video.files import open_regular, sha256_of_file
from crsr_video.networks import (
    BackgroundNetwork,
    Bicubic,
    Consistifier,
    IdentityConsistifier,
    SuperResolver,
)

FORMAT = "crsr-video/1"

FAST = "fast"
"""Name of the shipped weights."""

BACKGROUND = "background"
"""Name of the shipped weights of the network for whole frames."""

IDENTITY = "identity"
"""Name of the pair of networks without weights, which only performs bicubic enlargement."""

TEXTURED = "textured."
"""Beginning of the names of the networks for full texture."""

_LARGEST_BYTES = 512 * 2**20
"""Maximum size of a weights file. A larger file cannot belong to these networks."""
_LARGEST_HEADER_BYTES = 2**20
"""Maximum size of the header, which names only a few hundred tensors."""

Ranges = dict[str, tuple[float, float]]
"""Usual range of values at each step of a network. See `networks.quantised.Ranges`."""


@dataclass(frozen=True, slots=True)
class ShippedWeights:
    """A weights file that comes with the package."""

    name: str
    sha256: str

    @property
    def path(self) -> Path:
        """Path of the safetensors file."""
        return package_folder() / f"{self.name}.safetensors"

    @property
    def card(self) -> Path:
        """Path of the model card, which describes data, licence, training, results and limits."""
        return package_folder() / f"{self.name}.md"


def package_folder() -> Path:
    """Return the folder of the shipped weights."""
    return Path(str(resources.files("crsr_video.weights")))


def shipped() -> tuple[ShippedWeights, ...]:
    """Return every weights file in the package's list of hashes that holds face networks.

    Raises:
        WeightsError: The list is missing or damaged.
    """
    return tuple(found for found in _listed() if found.name != BACKGROUND)


def _listed() -> tuple[ShippedWeights, ...]:
    try:
        hashes = json.loads((package_folder() / "SHA256.json").read_text())
    except (OSError, ValueError) as error:
        raise WeightsError("the list of shipped weights is missing or damaged") from error
    return tuple(ShippedWeights(name, digest) for name, digest in sorted(hashes.items()))


def background() -> ShippedWeights:
    """Return the shipped weights of the network for whole frames.

    Raises:
        WeightsError: They are not in the package's list of hashes.
    """
    found = next((weights for weights in _listed() if weights.name == BACKGROUND), None)
    if found is None:
        raise WeightsError("the package has no weights of the network for whole frames")
    return found


def load_background(path: Path | None = None) -> BackgroundNetwork:
    """Build the network for whole frames.

    Args:
        path: A safetensors file. Defaults to the shipped weights.

    Raises:
        WeightsError: The weights are missing or damaged, or do not fit the network.
    """
    expected = None
    if path is None:
        path, expected = background().path, background().sha256
    metadata, tensors, _ = _contents(path, expected)
    return _build(BackgroundNetwork, BACKGROUND, metadata, tensors, path)


def ranges_file(weights: Path) -> Path:
    """Return the calibration file for int8 inference, which all weights of a folder share."""
    return weights.with_name("ranges.json")


def _ranges(weights: Path, sha256: str) -> dict[str, Ranges]:
    """Return the ranges of each network, or an empty dict if the weights are not calibrated."""
    path = ranges_file(weights)
    try:
        with open_regular(path, follow_links=True) as file:
            text = file.read(_LARGEST_HEADER_BYTES)
        found = json.loads(text).get(sha256, {})
        ranges = {
            network: {name: (float(low), float(high)) for name, (low, high) in own.items()}
            for network, own in found.items()
        }
    except FileNotFoundError:
        return {}
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise WeightsError(f"the calibration file '{path}' of these weights is damaged") from error
    if not all(-math.inf < a <= b < math.inf for own in ranges.values() for a, b in own.values()):
        raise WeightsError(f"the calibration file '{path}' holds an impossible range")
    return ranges


@dataclass(frozen=True, slots=True)
class NetworkPair:
    """The two networks of the method, in evaluation mode, float32, on the CPU."""

    consistifier: nn.Module
    superresolver: nn.Module
    name: str
    sha256: str
    textured: "NetworkPair | None" = None
    """Pair of networks for full texture, or None if the texture head shares this pair's trunk."""

    @property
    def eight_bits(self) -> bool:
        """Whether the networks are calibrated for int8 inference."""
        networks = (self.consistifier, self.superresolver)
        return all(getattr(network, "ranges", None) is not None for network in networks)

    @property
    def has_texture(self) -> bool:
        """Whether the weights have a texture head."""
        superresolver = (self.textured or self).superresolver
        return isinstance(superresolver, SuperResolver) and superresolver.tail is not None

    def with_texture(self, share: float) -> "NetworkPair":
        """Return a pair that draws this share (0 to 1) of the texture.

        The share scales the output of the texture head. If there is a pair for full texture, all
        other weights are interpolated between this pair and that one, which leads through good
        networks if one was trained from the other (Wortsman et al. 2022, "Robust fine-tuning of
        zero-shot models"). Return this pair itself if it has no texture head, or if the share is 0.
        """
        if not self.has_texture or share == 0:
            return self
        if self.textured is None:
            consistifier, superresolver = self.consistifier, copy.deepcopy(self.superresolver)
        else:
            consistifier = _interpolated(self.consistifier, self.textured.consistifier, share)
            superresolver = _interpolated(self.superresolver, self.textured.superresolver, share)
        assert isinstance(superresolver, SuperResolver)
        superresolver.texture = share
        return replace(self, consistifier=consistifier, superresolver=superresolver, textured=None)


def load(model: str = FAST) -> NetworkPair:
    """Build the networks of a weights file.

    Args:
        model: A shipped name, "identity", or the path of a safetensors file.

    Raises:
        WeightsError: The model is unknown, unreadable, damaged or a pickle, or does not fit the
            networks.
    """
    if model == IDENTITY:
        return NetworkPair(IdentityConsistifier(), Bicubic(), IDENTITY, "")
    known = _known(model)
    if known is not None:
        return _read(known.path, known.name, known.sha256)
    return _read(Path(model), Path(model).stem, None)


def path_of(model: str) -> Path:
    """Return the file of a model.

    Raises:
        WeightsError: There is no shipped model of that name.
    """
    known = _known(model)
    return known.path if known is not None else Path(model)


def _known(model: str) -> ShippedWeights | None:
    """Return the shipped weights of this name, or None if the model must be a file."""
    known = {weights.name: weights for weights in shipped()}
    path = Path(model)
    if model in known:
        return known[model]
    if path.suffix == "" and path.name == model and not os.path.exists(path):
        names = ", ".join([*known, IDENTITY])
        raise WeightsError(f"unknown model '{model}': use {names}, or a .safetensors file")
    return None


def digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal.

    Raises:
        WeightsError: The file cannot be read.
    """
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise WeightsError(f"cannot read weights '{path}': {error.strerror}") from error


def _contents(path: Path, expected: str | None) -> tuple[dict[str, str], dict[str, Tensor], str]:
    """Return the metadata, the tensors as float32, and the SHA-256 of a weights file."""
    _refuse_foreign(path)
    found = digest(path)
    if expected is not None and found != expected:
        raise WeightsError(f"weights '{path}' are damaged: SHA-256 differs from the package's list")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            tensors = {name: file.get_tensor(name).float() for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"weights '{path}' are damaged: {first_lines(error)}") from error
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"weights '{path}' are not a {FORMAT} checkpoint")
    return metadata, tensors, found


def _read(path: Path, name: str, expected: str | None) -> NetworkPair:
    metadata, tensors, found = _contents(path, expected)
    ranges = _ranges(path, found)

    def pair(prefix: str = "") -> NetworkPair:
        first, second = f"{prefix}consistifier", f"{prefix}superresolver"
        consistifier: nn.Module = IdentityConsistifier()
        if first in metadata or any(key.startswith(f"{first}.") for key in tensors):
            consistifier = _build(Consistifier, first, metadata, tensors, path)
            consistifier.ranges = ranges.get(first)
        superresolver = _build(SuperResolver, second, metadata, tensors, path)
        superresolver.ranges = ranges.get(second)
        return NetworkPair(consistifier, superresolver, name, found)

    if f"{TEXTURED}superresolver" not in metadata:
        return pair()
    both, textured = pair(), pair(TEXTURED)
    for mine, its in zip(_shapes_of(both), _shapes_of(textured), strict=True):
        if not its.items() <= mine.items():
            raise WeightsError(f"weights '{path}' hold two pairs of networks of different sizes")
    return replace(both, textured=textured)


def _shapes_of(pair: NetworkPair) -> list[dict[str, torch.Size]]:
    """Return the shapes of the weights of both networks, without those of the texture head."""
    return [
        {k: v.shape for k, v in network.state_dict().items() if not k.startswith("tail.")}
        for network in (pair.consistifier, pair.superresolver)
    ]


def _interpolated(network: nn.Module, textured: nn.Module, share: float) -> nn.Module:
    """Return the textured network with weights between those of both. The texture head stays."""
    result, plain = copy.deepcopy(textured), network.state_dict()
    for name, value in result.state_dict().items():
        if not name.startswith("tail."):
            value.copy_(plain[name].lerp(value, share))
    return result


def _refuse_foreign(path: Path) -> None:
    """Refuse pickles and other foreign files before the safetensors loader reads them."""
    try:
        with open_regular(path, follow_links=True) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(8)
    except OSError as error:
        raise WeightsError(f"cannot read weights '{path}': {error.strerror}") from error
    # torch.save writes a zip archive. Its old format and plain pickles begin with opcode PROTO.
    if head[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise WeightsError(f"weights '{path}' are a pickle, which could run code: refused")
    if not 8 < size <= _LARGEST_BYTES:
        raise WeightsError(f"weights '{path}' have an impossible size of {size} bytes")
    if int.from_bytes(head, "little") > _LARGEST_HEADER_BYTES:
        raise WeightsError(f"weights '{path}' are damaged: their header is too long")


_Network = TypeVar("_Network", bound=nn.Module)


def _build(
    network: type[_Network],
    prefix: str,
    metadata: dict[str, str],
    tensors: dict[str, Tensor],
    path: Path,
) -> _Network:
    own = {
        key.removeprefix(f"{prefix}."): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}.")
    }
    try:
        with torch.device("meta"):  # This allocates nothing before the shapes are compared.
            built = network(**_arguments(metadata[prefix]))
        built.load_state_dict(own, assign=True)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"weights '{path}' do not fit the {prefix} of this version: {first_lines(error)}"
        ) from error
    # The extremes show every other value, and are found faster than each value is tested.
    if not all(torch.isfinite(end) for value in own.values() for end in value.aminmax()):
        raise WeightsError(f"weights '{path}' hold values that are not finite")
    return built.eval().requires_grad_(False)


def _arguments(text: str) -> dict[str, Any]:
    """Parse constructor arguments: integers or lists of integers in a plausible range."""
    arguments = json.loads(text)
    if not isinstance(arguments, dict):
        raise ValueError("constructor arguments are no JSON object")
    for name, value in arguments.items():
        numbers = value if isinstance(value, list) else [value]
        low, high = (1, 4096) if name == "channels" else (0, 64)
        if not all(type(number) is int and low <= number <= high for number in numbers):
            raise ValueError("constructor arguments are out of range")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
