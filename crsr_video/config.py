"""Every choice a user can make, checked once, when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from crsr_video.errors import ConfigError

OnError = Literal["fail", "passthrough"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

SCALES = (1, 2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeSettings:
    """How the result is written; everything left at None follows the source."""

    codec: str | None = None
    """FFmpeg encoder name, such as "libx264"; None: the source's codec where it can be encoded."""
    crf: float | None = None
    """Constant quality, in the encoder's own scale; lower is better."""
    bitrate: int | None = None
    """Bits a second; excludes `crf`."""
    preset: str | None = None
    """Encoder preset, such as "veryfast"."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further encoder options, passed on as they are."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises: ConfigError: crf or bitrate is negative, or both are given.
        """
        if self.crf is not None and not 0 <= self.crf < float("inf"):
            raise ConfigError(f"crf must be zero or a positive number, but is {self.crf:g}")
        if self.bitrate is not None and self.bitrate <= 0:
            raise ConfigError(f"bitrate must be above zero, but is {self.bitrate}")
        if self.crf is not None and self.bitrate is not None:
            raise ConfigError("crf and bitrate exclude each other: give one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How a video is enhanced."""

    scale: int = 1
    """Size of the result over the source's: 1, 2 or 4."""
    strength: float = 1.0
    """Share of the correction that is applied, 0 (none) to 1."""
    model: str = "fast"
    """Name of shipped weights, or path of a safetensors file."""
    texture: float = 0.0
    """Between faithful (0: only what is sure) and textured (1: believable skin and hair)."""
    memory: bool = True
    """Let earlier frames of a face help, where the weights have learnt it."""
    device: str = "auto"
    """One of "auto", "cpu", "cuda", "cuda:N", "mps"."""
    precision: Precision = "auto"
    """Arithmetic of the networks; auto measures once what is fast on this machine."""
    min_face: float = 16.0
    """Faces narrower than this, in frame pixels, are left alone."""
    start: float = 0.0
    """Seconds of the source to skip."""
    duration: float | None = None
    """Seconds to enhance; None: to the end."""
    on_error: OnError = "fail"
    """What a frame that cannot be enhanced does: stop the run, or pass through unchanged."""
    overwrite: bool = False
    """Replace an existing result."""
    encode: EncodeSettings = field(default_factory=EncodeSettings)

    def __post_init__(self) -> None:
        """Check ranges.

        Raises: ConfigError: a value that cannot be meant.
        """
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision must be auto, fp32, bf16 or fp16, not {self.precision}")
        if self.on_error not in get_args(OnError):
            raise ConfigError(f"on-error must be fail or passthrough, but is {self.on_error}")
        if self.scale not in SCALES:
            raise ConfigError(f"scale must be 1, 2 or 4, but is {self.scale}")
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"strength must lie between 0 and 1, but is {self.strength:g}")
        if not 0 <= self.texture <= 1:
            raise ConfigError(f"texture must lie between 0 and 1, but is {self.texture:g}")
        if not self.min_face >= 0:
            raise ConfigError(f"min-face must not be negative, but is {self.min_face:g}")
        if not 0 <= self.start < float("inf"):
            raise ConfigError(f"start must be zero or a positive number, but is {self.start:g}")
        if self.duration is not None and not 0 < self.duration < float("inf"):
            raise ConfigError(f"duration must be above zero, but is {self.duration:g}")
