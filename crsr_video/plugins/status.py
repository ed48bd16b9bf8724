"""State of the installed effect, and of the programs that may load it."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crsr_video._version import __version__
from crsr_video.errors import PluginError
from crsr_video.plugins.frei0r import Effect, load
from crsr_video.plugins.installation import (
    EFFECT_FILE,
    Manifest,
    Places,
    read_manifest,
    source_digest,
    user_effect_folder,
)

_TIMEOUT_SECONDS = 30.0
_FFMPEG_SYSTEM_FOLDERS = ("/usr/local/lib", "/usr/lib", "/usr/local/lib64", "/usr/lib64")
_MLT_SYSTEM_FOLDERS = ("/usr/local/lib", "/opt/local/lib", "/usr/lib64", "/usr/lib")


@dataclass(frozen=True, slots=True)
class Host:
    """A program that loads frei0r effects."""

    program: str
    path: Path | None
    version: str = ""
    able: bool = False
    """Whether it can load frei0r effects."""
    effect: Path | None = None
    """The effect that it would load, if it finds one."""


def ffmpeg() -> Host:
    """Return the state of the ffmpeg on the search path."""
    path = shutil.which("ffmpeg")
    if path is None:
        return Host("ffmpeg", None)
    able = "filter_name" in _output_of([path, "-hide_banner", "-h", "filter=frei0r"])
    found = _effect_in(ffmpeg_effect_folders()) if able else None
    return Host("ffmpeg", Path(path), _version_of([path, "-version"]), able, found)


def melt() -> Host:
    """Return the state of the melt on the search path."""
    path = shutil.which("melt") or shutil.which("melt-7")
    if path is None:
        return Host("melt", None)
    able = "identifier: frei0r.crsr" in _output_of([path, "-query", "filter=frei0r.crsr"])
    found = _effect_in(mlt_effect_folders()) if able else None
    return Host("melt", Path(path), _version_of([path, "--version"]), able, found)


def gstreamer() -> Host:
    """Return the state of the GStreamer whose gst-inspect-1.0 is on the search path."""
    path = shutil.which("gst-inspect-1.0")
    if path is None:
        return Host("GStreamer", None)
    version = _version_of([path, "--version"], before="GStreamer ")
    able = "Plugin Details" in _output_of([path, "frei0r"])
    is_found = "Factory Details" in _output_of([path, "frei0r-filter-crsr"])
    found = _effect_in(gstreamer_effect_folders()) if is_found else None
    return Host("GStreamer", Path(path), version, able, found)


def ffmpeg_encoders() -> frozenset[str]:
    """Return the video encoders of the ffmpeg on the search path, or none without an ffmpeg."""
    path = shutil.which("ffmpeg")
    if path is None:
        return frozenset()
    output = _output_of([path, "-hide_banner", "-encoders"])
    return frozenset(re.findall(r"^ V\S{5} (\S+)", output, re.MULTILINE)) - {"="}


def ffmpeg_has_fps_mode() -> bool:
    """Return whether ffmpeg has -fps_mode, which replaces -vsync since FFmpeg 5.1."""
    path = shutil.which("ffmpeg")
    found = re.match(r"(\d+)\.(\d+)", _version_of([path, "-version"])) if path else None
    return found is None or (int(found.group(1)), int(found.group(2))) >= (5, 1)


def ffmpeg_effect_folders() -> tuple[Path, ...]:
    """Return the folders in which FFmpeg looks for an effect, in order."""
    named = tuple(Path(part) for part in os.environ.get("FREI0R_PATH", "").split(":") if part)
    system = (Path(folder) / "frei0r-1" for folder in _FFMPEG_SYSTEM_FOLDERS)
    return (*named, user_effect_folder(), *system)


def mlt_effect_folders() -> tuple[Path, ...]:
    """Return the folders in which MLT looks, in order. Configured folders replace all others."""
    named = os.environ.get("MLT_FREI0R_PLUGIN_PATH") or os.environ.get("FREI0R_PATH") or ""
    if named:
        return tuple(Path(part) for part in named.split(":") if part)
    return (user_effect_folder(), *(Path(folder) / "frei0r-1" for folder in _MLT_SYSTEM_FOLDERS))


def gstreamer_effect_folders() -> tuple[Path, ...]:
    """Return the folders in which GStreamer looks: if FREI0R_PATH is set, only those in it."""
    if named := os.environ.get("FREI0R_PATH"):
        return tuple(Path(part) for part in named.split(":"))
    return ffmpeg_effect_folders()


def _effect_in(folders: tuple[Path, ...]) -> Path | None:
    return next((f / EFFECT_FILE for f in folders if (f / EFFECT_FILE).is_file()), None)


def _version_of(words: list[str], before: str = "") -> str:
    found = re.search(before + r"\b(n?\d+\.\d+(\.\d+)?)", _output_of(words))
    return found.group(1).removeprefix("n") if found else ""


def _output_of(words: list[str]) -> str:
    """Return the output and the errors of a program, or an empty text if it cannot be run."""
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


@dataclass(frozen=True, slots=True)
class FileState:
    """State of one installed file."""

    path: Path
    state: Literal["ok", "missing", "changed"]
    """Whether the file is still as it was installed."""


@dataclass(frozen=True, slots=True)
class Status:
    """State of the installation."""

    package: str
    """Version of this crsr-video."""
    installed: str | None
    """Version of crsr-video that installed the effect, if it is installed."""
    current: bool
    """Whether the effect was compiled from the source of this crsr-video."""
    command: str
    """The program with which the effect starts its server."""
    runnable: bool
    """Whether the program in `command` exists."""
    files: tuple[FileState, ...]
    effect: Effect | None
    trouble: str
    """Why the effect cannot be loaded, or an empty text if it can."""
    hosts: tuple[Host, ...]

    @property
    def works(self) -> bool:
        """Whether the effect can be loaded, is current and complete, and its server can start."""
        is_complete = all(file.state == "ok" for file in self.files)
        return self.effect is not None and self.current and self.runnable and is_complete


def status(places: Places) -> Status:
    """Return the state of the installation."""
    manifest = read_manifest(places.manifest)
    effect, trouble = _loaded(places.effect)
    command = manifest.command if manifest else ""
    return Status(
        package=__version__,
        installed=manifest.version if manifest else None,
        current=manifest is not None and manifest.source == source_digest(),
        command=command,
        runnable=bool(command) and Path(command).is_file(),
        files=tuple(_file_state(manifest, path) for path in manifest.files) if manifest else (),
        effect=effect,
        trouble=trouble,
        hosts=(ffmpeg(), gstreamer(), melt()),
    )


def _loaded(path: Path) -> tuple[Effect | None, str]:
    if not path.exists():
        return None, f"{path}: no such file"
    try:
        return load(path), ""
    except PluginError as error:
        return None, str(error)


def _file_state(manifest: Manifest, path: Path) -> FileState:
    if not path.exists():
        return FileState(path, "missing")
    return FileState(path, "changed" if manifest.is_changed(path) else "ok")
