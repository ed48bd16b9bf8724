"""Settings of the page, and the command line that gives the same result."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from crsr_video.config import BackgroundMode, NetworkSettings, Region
from crsr_video.errors import ConfigError
from crsr_video.track.tracks_file import Person


class PersonChoice(BaseModel):
    """Settings of one person."""

    enabled: bool = True
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0


class StudioSettings(BaseModel):
    """How faces are enhanced."""

    strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    texture: Annotated[float, Field(ge=0, le=1)] = 0.75
    region: Region = "head"
    """Part of a person that is enhanced."""
    scale: Literal[1, 2, 4] = 1
    background: BackgroundMode = "keep"
    """Treatment of the picture around the faces."""
    model: str = "fast"
    people: dict[int, PersonChoice] = {}
    """Choices by the number of the person; everybody else is enhanced at full strength."""


class Export(BaseModel):
    """One export: what, how, and where to."""

    file: str
    settings: StudioSettings = StudioSettings()
    format: str = "same"
    quality: Literal["smaller", "normal", "larger"] = "normal"
    start: Annotated[float, Field(ge=0)] = 0.0
    end: Annotated[float, Field(gt=0)] | None = None
    output: str = ""
    """Path of the result; empty: a free name beside the source."""


@dataclass(frozen=True, slots=True)
class Format:
    """A preset of codec and container."""

    name: str
    title: str
    hint: str
    suffix: str | None = None
    """File name extension of the result. Defaults to that of the source."""
    options: tuple[str, ...] = ()
    qualities: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Further options for each quality that can be chosen; empty if there is only one."""


FORMATS = (
    Format(
        "same",
        "Same as the source",
        "The codec and container of the source, visually lossless.",
        qualities={"smaller": ("--codec", "copy-like"), "normal": ()},
    ),
    Format(
        "share",
        "H.264 for sharing",
        "Plays everywhere, and is no larger than the source.",
        ".mp4",
        ("--for", "share"),
        {"smaller": ("--crf", "28"), "normal": (), "larger": ("--crf", "19")},
    ),
    Format(
        "hevc",
        "HEVC, 10 bits",
        "Half the size of H.264 at the same quality, for newer devices.",
        ".mp4",
        ("--codec", "h265", "-x", "pix_fmt=yuv420p10le"),
        {"smaller": ("--crf", "27"), "normal": ("--crf", "21"), "larger": ("--crf", "17")},
    ),
    Format(
        "edit",
        "ProRes for editing",
        "Large files that editing programs handle with ease.",
        ".mov",
        ("--for", "edit"),
    ),
    Format(
        "archive",
        "Lossless for archives",
        "Every pixel as it was computed, in FFV1. Very large files.",
        ".mkv",
        ("--for", "archive"),
    ),
)


def format_named(name: str) -> Format:
    """Return a preset.

    Raises:
        ConfigError: There is no preset of that name.
    """
    found = next((preset for preset in FORMATS if preset.name == name), None)
    if found is None:
        known = ", ".join(preset.name for preset in FORMATS)
        raise ConfigError(f"there is no format '{name}': use {known}")
    return found


def enhance_options(
    export: Export,
    groups: tuple[Person, ...],
    tracks: Path | None,
    duration: float,
    *,
    is_image: bool = False,
) -> list[str]:
    """Return the options of ``crsr-video enhance`` for an export, without source and output.

    Args:
        export: What the page chose.
        groups: The people of the file, to whom the choices refer.
        tracks: The file's tracks, if it was analysed.
        duration: Length of the source in seconds.
        is_image: The source is a still picture, which has no codec, start or end.
    """
    chosen, words = export.settings, []
    if chosen.strength < 1:
        words += ["--strength", f"{chosen.strength:g}"]
    if chosen.texture != NetworkSettings().texture:
        words += ["--texture", f"{chosen.texture:g}"]
    if chosen.region != "head":
        words += ["--region", chosen.region]
    if chosen.scale > 1:
        words += ["--scale", str(chosen.scale)]
    if chosen.background != "keep":
        words += ["--background", chosen.background]
    if chosen.model != "fast":
        words += ["--model", chosen.model]
    faces = face_options(chosen, groups)
    if faces and tracks is not None:
        words += ["--tracks", str(tracks), *faces]
    if is_image:
        return words
    if export.start > 0:
        words += ["--start", f"{export.start:.3f}"]
    if export.end is not None and export.end < duration - 0.001:
        words += ["--duration", f"{max(0.001, export.end - export.start):.3f}"]
    preset = format_named(export.format)
    return [*words, *preset.options, *preset.qualities.get(export.quality, ())]


def face_options(settings: StudioSettings, groups: tuple[Person, ...]) -> list[str]:
    """Return ``--face`` options for the people who differ from the default."""
    words = []
    for group in groups:
        choice = settings.people.get(group.id, PersonChoice())
        if not choice.enabled:
            words += ["--face", f"{group.id}=off"]
        elif choice.strength < 1:
            words += ["--face", f"{group.id}=strength:{choice.strength:g}"]
    return words


def command_line(words: list[str]) -> str:
    """Return words as one line for a POSIX shell."""
    return shlex.join(words)
