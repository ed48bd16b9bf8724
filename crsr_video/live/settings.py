"""All that a live run is told."""

from dataclasses import dataclass, field

from crsr_video.config import Config
from crsr_video.errors import ConfigError

MAX_LATENCY = 0.08
"""Seconds, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """Where from, where to, how, and how fast."""

    source: str
    """Address of the source: "-" for standard input, a camera, a URL or a file."""
    output: str
    """Address of the result: "-" for standard output, a URL, a file, or "camera:", optionally
    followed by the name of a virtual camera."""
    config: Config = field(default_factory=Config)
    max_latency: float = MAX_LATENCY
    """Seconds from a frame's arrival to its departure, of which 19 in 20 frames stay below."""
    seconds: float | None = None
    """End after so long; None: when the source does."""
    preview: int | None = None
    """Port of the preview page on this machine, 0 for any; None: no preview."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises: ConfigError: a value that cannot be meant.
        """
        if not 0.005 <= self.max_latency <= 60:
            told = f"{self.max_latency * 1e3:g}"
            raise ConfigError(f"max-latency must lie between 5 and 60000 ms, but is {told}")
        if self.seconds is not None and not self.seconds > 0:
            raise ConfigError(f"seconds must be above zero, but is {self.seconds:g}")
        if self.config.reading.loop and not self.config.reading.realtime:
            raise ConfigError("loop plays a file at its own pace, again and again: add realtime")
        if self.config.scale != 1:
            raise ConfigError("live keeps the size of the picture: scale must be 1")
        if self.config.faces.tracks is not None:
            raise ConfigError("tracks are of a video file: live looks for faces itself")
        if self.config.job.resume:
            raise ConfigError("a live run cannot be resumed")
        if self.config.job.start or self.config.job.duration is not None:
            raise ConfigError("`start` and `duration` are for files: use `seconds` in a live run")
