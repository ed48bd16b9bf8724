"""Settings as keyword arguments, for type checkers and editors.

Each name is that of a setting in `config`, which documents it. Groups of settings are not listed:
they are fields of a `Config`.
"""

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

from crsr_video.config import (
    BackgroundMode,
    OnError,
    PersonSettings,
    Precision,
    Purpose,
    Region,
)
from crsr_video.types import Upscaler


class FrameKeywords(TypedDict, total=False):
    """Settings of single frames: see `FaceSettings`, `NetworkSettings` and `EnhancerConfig`."""

    strength: float
    min_face: float
    max_faces: int | None
    only: int | Collection[int] | None
    people: Mapping[int, PersonSettings]
    backoff: bool
    region: Region

    model: str
    texture: float
    device: str
    precision: Precision
    threads: int | None

    scale: int
    upscaler: str | Upscaler
    background: BackgroundMode
    on_error: OnError


class FileKeywords(FrameKeywords, total=False):
    """Settings of files: also see `JobSettings`, `OutputSettings` and `ReadSettings`."""

    tracks: str | Path | None

    start: float
    duration: float | None
    overwrite: bool
    resume: bool
    restart: bool
    report: str | Path | Sequence[str | Path]

    container: str | None
    codec: str | None
    crf: float | None
    bitrate: int | None
    preset: str | None
    purpose: Purpose | None
    always_encode: bool
    strict: bool

    format: str | None
    size: tuple[int, int] | None
    pixel_format: str | None
    rate: Fraction | float | str | None
    hwaccel: str
    realtime: bool
    loop: bool
    stall_seconds: float
