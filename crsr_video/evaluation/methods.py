"""Methods to compare. Each is a function that enlarges a small face four times."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from crsr_video.errors import ConfigError
from crsr_video.networks import Bicubic
from crsr_video.weights import NetworkPair, load

_TEXTURE = "texture="


@dataclass(frozen=True)
class Variant:
    """A model with options, written as MODEL[:psi][:texture=SHARE]."""

    text: str
    """The text that the user gave."""
    model: str
    """Name of shipped weights, path of a file, or folder of a training run."""
    alone: bool = False
    """Run the super-resolver without the consistifier."""
    texture: float = 0.0
    """See `NetworkSettings.texture`."""

    @property
    def short(self) -> str:
        """Short name for tables."""
        return Path(self.model).stem.removesuffix(".safetensors") + self.text[len(self.model) :]

    def pair(self) -> NetworkPair:
        """Load the networks."""
        return load(self.model).with_texture(self.texture)


def parse_variant(text: str) -> Variant:
    """Parse a model with options."""
    model, alone, texture = text, False, 0.0
    while ":" in model:
        rest, _, word = model.rpartition(":")
        if word == "psi":
            alone = True
        elif word.startswith(_TEXTURE):
            texture = _share(word.removeprefix(_TEXTURE))
        else:
            break  # The colon belongs to a path.
        model = rest
    return Variant(text, model, alone, texture)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(f"invalid texture '{text}': use a number from 0 to 1")
    return share


def variants(texts: Sequence[str]) -> dict[str, Variant]:
    """Parse models. The keys are short names, or full texts where short names are equal.

    Raises:
        ConfigError: If the same model is named twice.
    """
    if len(set(texts)) < len(texts):
        raise ConfigError("a model is named twice")
    found = [parse_variant(text) for text in texts]
    short = [one.short for one in found]
    return {
        one.text if short.count(name) > 1 else name: one
        for name, one in zip(short, found, strict=True)
    }


BASELINE = "bicubic"


@dataclass(frozen=True)
class EvaluatedMethod:
    """A method that enlarges faces."""

    name: str
    run: Callable[[Tensor], Tensor]
    """Maps (N, 3, T, T) in [0, 1] to (N, 3, 4T, 4T), float32, clamped to [0, 1]."""
    model: str = ""
    """The text that the user gave, or an empty string for the baseline."""
    sha256: str = ""


def methods(models: Sequence[str], *, bf16: bool = False) -> list[EvaluatedMethod]:
    """Return the baseline and a method for every model.

    Args:
        models: Models with options, see `parse_variant`.
        bf16: Run the networks at bf16, as in live use.
    """
    found = [EvaluatedMethod(BASELINE, runner(Bicubic()))]
    for name, one in variants(models).items():
        pair = one.pair()
        parts = [] if one.alone else [pair.consistifier]
        network = nn.Sequential(*parts, pair.superresolver)
        found.append(EvaluatedMethod(name, runner(network, bf16=bf16), one.text, pair.sha256))
    return found


def runner(network: nn.Module, *, bf16: bool = False) -> Callable[[Tensor], Tensor]:
    """Return a function that runs a network and returns float32 output in [0, 1]."""

    @torch.inference_mode()
    def run(low: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            high: Tensor = network(low)
        return high.float().clamp(0, 1)

    return run
