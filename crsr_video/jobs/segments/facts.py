"""What a run's result depends on, in words that can be compared: source, choices, versions."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crsr_video import __version__, weights
from crsr_video.config import Config
from crsr_video.errors import InputError
from crsr_video.track.tracks_file.fingerprint import fingerprint_of
from crsr_video.versions import library_versions

FREE = ("overwrite", "resume", "restart", "report", "threads")
"""Choices that do not show in the result."""

Facts = dict[str, str]


def versions(config: Config) -> Facts:
    """Of everything that computes, weights included.

    Raises: WeightsError: there are none of that name.
    """
    found = {"crsr-video": __version__, "machine": platform.machine()}
    found |= library_versions()
    pair = weights.load(config.networks.model)
    found["weights"] = pair.sha256
    found["ranges"] = _ranges(pair)
    return found


def _ranges(pair: weights.Pair) -> str:
    """What inference in eight bits depends on besides the weights."""
    found = [getattr(n, "ranges", None) for n in (pair.consistifier, pair.superresolver)]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def facts(source: Path, config: Config, output: Path) -> Facts:
    """Of a run, as the user asked for it.

    Raises: InputError: a file that the configuration names cannot be read.
    """
    chosen = {key: value for key, value in config.options().items() if key not in FREE}
    for group in ("reading", "output"):
        chosen |= {f"{group}.{key}": value for key, value in asdict(chosen.pop(group)).items()}
    told = {key.replace("_", "-"): _word(value) for key, value in chosen.items()}
    return {"source": fingerprint_of(source), "output": output.name} | told


def _word(value: Any) -> str:
    """A choice in words; a file that it names counts by its content."""
    if isinstance(value, Path):
        try:
            return hashlib.sha256(value.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"{value}: cannot be read: {error.strerror}") from error
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_word(value[key])}" for key in sorted(value, key=str))
    if isinstance(value, frozenset):
        return ", ".join(map(str, sorted(value)))
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return str(value)


def difference(was: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """The first fact that is not as it was, in words; None: all are."""
    for name in [*now, *(name for name in was if name not in now)]:
        old, new = was.get(name), now.get(name)
        if old == new:
            continue
        if name == "source":
            return "another content of the source"
        if name == "weights":
            return "other weights"
        if name == "ranges":
            return "other ranges for int8"
        return f"{name} {_short(old)} (now {_short(new)})"
    return None


def _short(word: str | None) -> str:
    if word is None:
        return "unset"
    return f"{word[:12]}…" if len(word) > 40 else word or "none"
