"""What a model is called on the command line of the evaluation, and which way it is to be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crsr_video.errors import ConfigError
from crsr_video.weights import Pair, load

_TEXTURE = "texture="


@dataclass(frozen=True)
class Variant:
    """One model, used in one way; written MODEL[:psi][:texture=SHARE]."""

    text: str
    """As the user wrote it."""
    model: str
    """A shipped name or a file."""
    alone: bool = False
    """The super-resolver without its consistifier."""
    texture: float = 0.0
    """See `Config.texture`."""

    @property
    def short(self) -> str:
        """A name for tables."""
        return Path(self.model).stem.removesuffix(".safetensors") + self.text[len(self.model) :]

    def pair(self) -> Pair:
        """The networks. Raises: WeightsError."""
        return load(self.model).with_texture(self.texture)


def variant(text: str) -> Variant:
    """Read one. Raises: ConfigError: a share that is none."""
    model, alone, texture = text, False, 0.0
    while ":" in model:
        rest, _, word = model.rpartition(":")
        if word == "psi":
            alone = True
        elif word.startswith(_TEXTURE):
            texture = _share(word.removeprefix(_TEXTURE))
        else:
            break  # part of a path
        model = rest
    return Variant(text, model, alone, texture)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(f"texture is a number from 0 to 1, not '{text}'")
    return share


def variants(texts: Sequence[str]) -> dict[str, Variant]:
    """All of them by name: short ones, or as they were written where two are alike.

    Raises: ConfigError: the same one twice.
    """
    if len(set(texts)) < len(texts):
        raise ConfigError("a model is named twice")
    found = [variant(text) for text in texts]
    short = [one.short for one in found]
    return {
        one.text if short.count(name) > 1 else name: one
        for name, one in zip(short, found, strict=True)
    }
