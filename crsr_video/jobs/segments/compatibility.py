"""Describes, as comparable text, everything that the frames of a result depend on.

A resumed run and every worker of a cluster must agree with the plan in all of these values.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from crsr_video import weights
from crsr_video._version import __version__
from crsr_video.config import Config
from crsr_video.errors import InputError
from crsr_video.files import sha256_of_file
from crsr_video.machine import library_versions
from crsr_video.track.tracks_file.fingerprint import fingerprint_of

INDEPENDENT = ("overwrite", "resume", "restart", "report", "threads")
"""Settings that do not change the frames."""
_MAX_VALUE = 40
"""Length beyond which values, mostly checksums, are shortened in messages."""


def versions(config: Config) -> dict[str, str]:
    """Return the versions of this program and its libraries, and checksums of the weights."""
    found = {"crsr-video": __version__, "machine": platform.machine()} | library_versions()
    pair = weights.load(config.networks.model)
    found["weights"] = pair.sha256
    found["ranges"] = _ranges_checksum(pair)
    if config.background != "keep":
        found["background weights"] = weights.background().sha256
    return found


def _ranges_checksum(pair: weights.NetworkPair) -> str:
    """Return a checksum of the calibration on which int8 inference depends."""
    ranges = [getattr(n, "ranges", None) for n in (pair.consistifier, pair.superresolver)]
    return hashlib.sha256(json.dumps(ranges, sort_keys=True).encode()).hexdigest()


def settings(source: Path, config: Config, output: Path) -> dict[str, str]:
    """Return a fingerprint of the source and the settings of a run."""
    found = {"source": fingerprint_of(source), "output": output.name}
    for name, value in config.options().items():
        if name in INDEPENDENT:
            continue
        if is_dataclass(value) and not isinstance(value, type):
            found |= {f"{name}.{key}": _text(inner) for key, inner in asdict(value).items()}
        else:
            found[name.replace("_", "-")] = _text(value)
    return found


def _text(value: Any) -> str:
    """Return a setting as text. A file is represented by its checksum."""
    if isinstance(value, Path):
        try:
            return sha256_of_file(value)
        except OSError as error:
            raise InputError(f"{value}: cannot be read: {error.strerror}") from error
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(value[key])}" for key in sorted(value, key=str))
    if isinstance(value, frozenset):
        return ", ".join(map(str, sorted(value)))
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return str(value)


def first_difference(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Describe the first value that has changed, or return None if all are equal."""
    for name in dict.fromkeys((*now, *before)):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if name == "source":
            return "different content of the source"
        if name == "weights":
            return "different weights"
        if name == "ranges":
            return "different int8 ranges"
        return f"{name} {_shortened(old)} (now {_shortened(new)})"
    return None


def _shortened(value: str | None) -> str:
    if value is None:
        return "unset"
    return f"{value[:12]}…" if len(value) > _MAX_VALUE else value or "none"
