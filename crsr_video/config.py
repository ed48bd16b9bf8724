"""Every choice a user can make, checked once, when it is made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from crsr_video.errors import ConfigError

if TYPE_CHECKING:
    from crsr_video.types import Upscaler

OnError = Literal["fail", "passthrough"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]

SCALES = (1, 2, 4)
UPSCALERS = ("lanczos", "cubic")
COPY_LIKE = "copy-like"
REPORTS = (".json", ".html", ".htm")
"""Endings of reports."""
PIPE_INPUTS = (
    *("nut", "matroska", "mpegts", "y4m", "rawvideo", "mp4", "flv", "avi", "h264", "hevc", "mjpeg"),
)
"""What standard input may be said to hold."""
PIPE_OUTPUTS = ("nut", "matroska", "mpegts", "y4m", "rawvideo")
"""What may be written to standard output, the default first."""
DECODING = ("none", "auto", "cuda", "vaapi", "videotoolbox", "d3d11va")
"""Where files may be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How a source is read: a file, standard input, a camera or a network stream."""

    format: str | None = None
    """Container, or kind of camera, such as "nut", "rawvideo" or "v4l2". Detected by default. A
    recorded file tells its own; see `PIPE_INPUTS` for standard input."""
    size: tuple[int, int] | None = None
    """Width and height of raw video, or the size that is requested from a camera."""
    pixel_format: str | None = None
    """FFmpeg's name of the pixel format of raw video (yuv420p by default), or the format that is
    requested from a camera."""
    rate: Fraction | None = None
    """Frames per second of raw video (25 by default), or the rate requested from a camera."""
    hwaccel: str = "none"
    """One of `DECODING`: the kind of device that decodes a recorded file. "auto" takes the first
    one that works."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options for FFmpeg's demuxer or protocol. Live sources only, like all that follow."""
    realtime: bool = False
    """Play a file at its own pace, as if a camera sent it."""
    loop: bool = False
    """With `realtime`: start again at the end of the file; timestamps keep growing."""
    connect_seconds: float = 10.0
    """Timeout for the first frame. A run fails after it at its start, and retries later on."""
    stall_seconds: float = 5.0
    """A network source that sends nothing for this long is connected to again."""
    reconnect: bool = True
    """Whether a network source or a camera is connected to again after its connection broke."""

    def __post_init__(self) -> None:
        """Check each value.

        Raises:
            ConfigError: A value is out of range, or raw video has no size.
        """
        if self.hwaccel not in DECODING:
            raise ConfigError(f"hwaccel must be one of {', '.join(DECODING)}, not {self.hwaccel}")
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"size must be above zero, but is {self.size[0]}x{self.size[1]}")
        if self.format == "rawvideo" and self.size is None:
            raise ConfigError("raw video needs a size, as in --size 640x480")
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise ConfigError(f"rate must lie between 0 and 1000, but is {self.rate}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """How a result is encoded and delivered, to a file, a pipe, a network or a virtual camera.

    Every field that is left at None follows the source, or the destination of a live run.
    """

    container: str | None = None
    """Container format. A file's suffix decides it; standard output defaults to NUT."""
    codec: str | None = None
    """FFmpeg encoder or codec name, such as "libx264" or "hevc". By default a file gets the
    source's codec at a visually lossless setting, and a live stream gets raw video or H.264.
    "copy-like" selects the source's codec at the source's bit rate."""
    crf: float | None = None
    """Constant quality, on the encoder's own scale; lower is better."""
    bitrate: int | None = None
    """Bits per second; cannot be combined with `crf`."""
    preset: str | None = None
    """Speed preset of the encoder, such as "veryfast"."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further encoder options, passed on unchanged."""
    strict: bool = False
    """Refuse, before anything is written, an output that cannot keep everything: a stream that
    the container does not hold, a different codec or pixel format, rounded timestamps."""
    reconnect: bool = True
    """Whether a live run connects again to a network destination after the connection broke."""
    connect_seconds: float = 10.0
    """Seconds that connecting to a network destination may take."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A value is out of range, or two values contradict each other.
        """
        if self.crf is not None and not 0 <= self.crf < float("inf"):
            raise ConfigError(f"crf must be zero or a positive number, not {self.crf:g}")
        if self.bitrate is not None and self.bitrate <= 0:
            raise ConfigError(f"bitrate must be above zero, not {self.bitrate}")
        if self.crf is not None and self.bitrate is not None:
            raise ConfigError("crf and bitrate exclude each other: use one of them")
        if self.codec == COPY_LIKE and not (self.crf is None and self.bitrate is None):
            raise ConfigError("copy-like uses the source's bit rate: drop crf and bitrate")
        if not self.connect_seconds > 0:
            raise ConfigError(f"connect-timeout must be above zero, not {self.connect_seconds:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceSettings:
    """What is done with one person."""

    enabled: bool = True
    """Whether this face is enhanced at all."""
    strength: float = 1.0
    """Share of the run's strength, 0 to 1."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises: ConfigError: strength is no share.
        """
        if not 0 <= self.strength <= 1:
            told = f"{self.strength:g}"
            raise ConfigError(f"strength of a face must lie between 0 and 1, but is {told}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How a video is enhanced."""

    scale: int = 1
    """Size of the result over the source's: 1, 2 or 4."""
    upscaler: "str | Upscaler" = "lanczos"
    """How the background is enlarged: "lanczos", "cubic", or a function, see `upscaling.Upscaler`."""
    strength: float = 1.0
    """Share of the correction that is applied, 0 (none) to 1."""
    model: str = "fast"
    """Name of shipped weights, or path of a safetensors file."""
    texture: float = 0.0
    """Between faithful (0: only what is sure) and textured (1: believable skin and hair)."""
    backoff: bool = True
    """Lower the strength of a face that drifts from who it was, or comes out softer than it was."""
    device: str = "auto"
    """One of "auto", "cpu", "cuda", "cuda:N", "mps"."""
    precision: Precision = "auto"
    """Arithmetic of the networks; auto measures once what is fast on this machine."""
    min_face: float = 16.0
    """Faces narrower than this, in frame pixels, are left alone."""
    max_faces: int | None = None
    """Enhance only so many faces at a time, the largest; None: all."""
    tracks: Path | None = None
    """A file of tracks of the same video, as `analyse` writes: faces are taken from there."""
    faces: Mapping[int, FaceSettings] = field(default_factory=dict)
    """What is done with single persons, by the ids that the tracker gives."""
    only: frozenset[int] | None = None
    """Ids of the persons to enhance; None: all."""
    start: float = 0.0
    """Seconds of the source to skip."""
    duration: float | None = None
    """Seconds to enhance; None: to the end."""
    on_error: OnError = "fail"
    """What a frame that cannot be enhanced does: stop the run, or pass through unchanged."""
    overwrite: bool = False
    """Replace an existing result."""
    resume: bool = False
    """Work in segments that are kept beside the result, so that a run that was stopped, however,
    goes on where it was."""
    restart: bool = False
    """With `resume`: throw away what an earlier run left, and begin anew."""
    report: tuple[Path, ...] = ()
    """Files to tell what was done in: .json for programs, .html for people."""
    read: ReadSettings = field(default_factory=ReadSettings)
    output: OutputSettings = field(default_factory=OutputSettings)

    def __post_init__(self) -> None:
        """Check ranges.

        Raises: ConfigError: a value that cannot be meant.
        """
        if self.precision not in get_args(Precision):
            known = "auto, fp32, bf16, fp16 or int8"
            raise ConfigError(f"precision must be {known}, not {self.precision}")
        if self.on_error not in get_args(OnError):
            raise ConfigError(f"on-error must be fail or passthrough, but is {self.on_error}")
        if self.scale not in SCALES:
            raise ConfigError(f"scale must be 1, 2 or 4, but is {self.scale}")
        if not callable(self.upscaler) and self.upscaler not in UPSCALERS:
            known = " or ".join(UPSCALERS)
            raise ConfigError(f"upscaler must be {known}, or a function, not {self.upscaler}")
        if callable(self.upscaler) and self.resume:
            raise ConfigError("resume knows an upscaler by its name only, not a function")
        if self.resume and self.read.hwaccel != "none":
            raise ConfigError("resume decodes in software, alike on all machines: no hwaccel then")
        for path in self.report:
            if path.suffix.lower() not in REPORTS:
                raise ConfigError(f"{path}: a report ends in .json or .html")
        if self.restart and not self.resume:
            raise ConfigError("restart has no meaning without resume")
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"strength must lie between 0 and 1, but is {self.strength:g}")
        if not 0 <= self.texture <= 1:
            raise ConfigError(f"texture must lie between 0 and 1, but is {self.texture:g}")
        if not 0 <= self.min_face < math.inf:
            raise ConfigError(f"min-face must be finite and not negative, but is {self.min_face:g}")
        if self.max_faces is not None and self.max_faces < 1:
            raise ConfigError(f"max-faces must be at least 1, but is {self.max_faces}")
        wrong = next((key for key in (*self.faces, *(self.only or ())) if key < 1), None)
        if wrong is not None:
            raise ConfigError(f"faces and only: numbers of faces begin at 1, but one is {wrong}")
        if not 0 <= self.start < float("inf"):
            raise ConfigError(f"start must be zero or a positive number, but is {self.start:g}")
        if self.duration is not None and not 0 < self.duration < float("inf"):
            raise ConfigError(f"duration must be above zero, but is {self.duration:g}")
