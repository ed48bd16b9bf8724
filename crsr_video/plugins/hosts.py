"""FFmpeg and MLT on this machine: which effect they would load."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from crsr_video.plugins import places

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Host:
    """A program that loads frei0r effects."""

    program: str
    path: Path | None
    """None: it is not installed."""
    version: str = ""
    able: bool = False
    """Whether it can load frei0r effects at all."""
    effect: Path | None = None
    """Which file it would load; None: it finds none."""


def ffmpeg() -> Host:
    """The ffmpeg on the search path."""
    path = shutil.which("ffmpeg")
    if path is None:
        return Host("ffmpeg", None)
    told = _said([path, "-hide_banner", "-h", "filter=frei0r"])
    able = "filter_name" in told
    found = places.found_in(places.searched()) if able else None
    return Host("ffmpeg", Path(path), _version([path, "-version"]), able, found)


def ffmpeg_encoders() -> frozenset[str]:
    """Video encoders of the ffmpeg on the search path; nothing, if there is none."""
    path = shutil.which("ffmpeg")
    if path is None:
        return frozenset()
    said = _said([path, "-hide_banner", "-encoders"])
    return frozenset(re.findall(r"^ V\S{5} (\S+)", said, re.MULTILINE)) - {"="}


def ffmpeg_knows_fps_mode() -> bool:
    """Whether -fps_mode has replaced -vsync, as since FFmpeg 5.1."""
    path = shutil.which("ffmpeg")
    found = re.match(r"(\d+)\.(\d+)", _version([path, "-version"])) if path else None
    return found is None or (int(found.group(1)), int(found.group(2))) >= (5, 1)


def melt() -> Host:
    """The melt on the search path."""
    path = shutil.which("melt") or shutil.which("melt-7")
    if path is None:
        return Host("melt", None)
    able = "identifier: frei0r.crsr" in _said([path, "-query", "filter=frei0r.crsr"])
    found = places.found_in(places.searched_by_mlt()) if able else None
    return Host("melt", Path(path), _version([path, "--version"]), able, found)


def _version(words: list[str]) -> str:
    found = re.search(r"\b(n?\d+\.\d+(\.\d+)?)", _said(words))
    return found.group(1).removeprefix("n") if found else ""


def _said(words: list[str]) -> str:
    """What a program says, on either stream; nothing, if it does not run."""
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
