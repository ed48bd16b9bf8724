"""All settings of all products, grouped by purpose. They are checked when they are created.

In messages, a name between backticks is the name of a setting in Python. The command line replaces
it by the name of the option.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from crsr_video.checks import (
    check_choice,
    check_number,
    check_share,
    is_not_negative,
    is_positive,
)
from crsr_video.errors import ConfigError

if TYPE_CHECKING:
    from crsr_video.types import Upscaler

OnError = Literal["fail", "passthrough"]
Region = Literal["face", "head"]
BackgroundMode = Literal["keep", "clean", "restore"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
Purpose = Literal["share", "edit", "archive"]

SCALES = (1, 2, 4)
UPSCALERS = ("lanczos", "cubic")
COPY_LIKE = "copy-like"
REPORTS = (".json", ".html", ".htm")
"""Suffixes of reports."""
PIPE_INPUTS = (
    *("nut", "matroska", "mpegts", "y4m", "rawvideo", "mp4", "flv", "avi", "h264", "hevc", "mjpeg"),
)
"""Values of `ReadSettings.format` for standard input."""
PIPE_OUTPUTS = ("nut", "matroska", "mpegts", "y4m", "rawvideo")
"""Values of `OutputSettings.container` for standard output, the default first."""
DECODING = ("none", "auto", "cuda", "vaapi", "videotoolbox", "d3d11va")
"""Values of `ReadSettings.hwaccel`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How a source is read: a file, standard input, a camera or a network stream.

    All settings after `hwaccel` are for live sources only.

    Attributes:
        format: Container, or kind of camera, such as "nut", "rawvideo" or "v4l2". It is detected by
            default. A file states its own format; `PIPE_INPUTS` lists those of standard input.
        size: Width and height of raw video, or the size that is requested from a camera.
        pixel_format: FFmpeg's name of the pixel format of raw video (yuv420p by default), or the
            format that is requested from a camera.
        rate: Frames per second of raw video (25 by default), or the rate requested from a camera.
        hwaccel: Kind of device that decodes a file, one of `DECODING`. "auto" selects the first
            one that works.
        options: Further options for FFmpeg's demuxer or protocol.
        realtime: Play a file at its own pace, as if a camera sent it.
        loop: With `realtime`, start again at the end of the file. Timestamps keep growing.
        connect_seconds: Timeout for the first frame of a connection. If it expires at the start,
            the run fails. If it expires later on, the source is connected to again.
        stall_seconds: A network source that sends nothing for this long is connected to again.
        reconnect: Whether a network source or a camera is connected to again after its connection
            breaks.
    """

    format: str | None = None
    size: tuple[int, int] | None = None
    pixel_format: str | None = None
    rate: Fraction | None = None
    hwaccel: str = "none"
    options: Mapping[str, str] = field(default_factory=dict)
    realtime: bool = False
    loop: bool = False
    connect_seconds: float = 10.0
    stall_seconds: float = 5.0
    reconnect: bool = True

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A value is out of range, or raw video has no size.
        """
        check_choice("hwaccel", self.hwaccel, DECODING)
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"`size` must be above zero, but is {self.size[0]}x{self.size[1]}")
        if self.format in ("rawvideo", "raw") and self.size is None:
            raise ConfigError("raw video does not state its size: give `size`, such as 640x480")
        if self.rate is not None:
            check_number("rate", self.rate, "lie between 0 and 1000", lambda n: 0 < n <= 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """How the output is encoded and delivered: to a file, a pipe, a network or a virtual camera.

    Settings that are None follow the source, or the destination of a live run.

    Attributes:
        container: Container format. The suffix of a file decides it. Standard output defaults to
            NUT.
        codec: FFmpeg encoder or codec name, such as "libx264" or "hevc". By default a file gets the
            source's codec at a visually lossless setting, and a live stream gets raw video or
            H.264. "copy-like" selects the source's codec at the source's bit rate.
        crf: Constant quality on the encoder's own scale; lower is better.
        purpose: Codec, quality and container for a use of the result, unless other settings say
            otherwise: "share" is small and plays everywhere (H.264 in MP4, no larger than the
            source), "edit" suits editing programs (ProRes in MOV), and "archive" is lossless (FFV1
            in Matroska).
        always_encode: Encode the video even if nothing in it was changed. By default, the result is
            then a copy of the source, unless a setting of the encoder was chosen.
        bitrate: Bits per second. It cannot be combined with `crf`.
        preset: Speed preset of the encoder, such as "veryfast".
        options: Further encoder options, passed on unchanged.
        strict: Refuse, before anything is written, an output that cannot keep everything, for
            example because the container cannot hold a stream, the codec or the pixel format
            changes, or timestamps are rounded.
        reconnect: Whether a live run connects again to a network destination after its connection
            breaks.
        connect_seconds: Timeout for connecting to a network destination.
    """

    container: str | None = None
    codec: str | None = None
    crf: float | None = None
    bitrate: int | None = None
    preset: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    purpose: Purpose | None = None
    always_encode: bool = False
    strict: bool = False
    reconnect: bool = True
    connect_seconds: float = 10.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A value is out of range, or two of them exclude each other.
        """
        if self.purpose is not None:
            check_choice("purpose", self.purpose, get_args(Purpose))
        if self.crf is not None:
            check_number("crf", self.crf, "be zero or a positive number", is_not_negative)
        if self.bitrate is not None:
            check_number("bitrate", self.bitrate, "be above zero", is_positive)
        if self.crf is not None and self.bitrate is not None:
            raise ConfigError("`crf` and `bitrate` exclude each other: use one of them")
        if self.codec == COPY_LIKE and not (self.crf is None and self.bitrate is None):
            raise ConfigError("copy-like uses the source's bit rate: drop `crf` and `bitrate`")
        check_number("connect_seconds", self.connect_seconds, "be above zero", is_positive)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSettings:
    """Settings of one person, chosen by track ID.

    Attributes:
        enabled: Whether this person is enhanced at all.
        strength: Factor on `FaceSettings.strength`, from 0 to 1.
    """

    enabled: bool = True
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Check the range of `strength`.

        Raises:
            ConfigError: The strength is not between 0 and 1.
        """
        check_share("strength", self.strength)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceSettings:
    """Which faces are enhanced, and how strongly.

    Attributes:
        strength: Share of the correction that is applied, from 0 (none) to 1 (all).
        min_face: Faces narrower than this many frame pixels are left alone.
        max_faces: Enhance at most this many faces at a time, the largest ones first. None means
            all faces.
        only: Track IDs of the people to enhance. None means everybody.
        people: Settings of individual people, by track ID.
        tracks: A tracks file of the same video, as `analyse` writes it. Faces are taken from it
            instead of being detected.
        backoff: Lower the strength of a face that drifts away from the person's identity, or that
            comes out softer than it was.
        region: Part of a person that is enhanced: "head" with hair, ears and neck, or "face", which
            is cheaper.
    """

    strength: float = 1.0
    min_face: float = 16.0
    max_faces: int | None = None
    only: frozenset[int] | None = None
    people: Mapping[int, PersonSettings] = field(default_factory=dict)
    tracks: Path | None = None
    backoff: bool = True
    region: Region = "head"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A value is out of range.
        """
        check_share("strength", self.strength)
        check_choice("region", self.region, get_args(Region))
        check_number("min_face", self.min_face, "be finite and not negative", is_not_negative)
        if self.max_faces is not None:
            check_number("max_faces", self.max_faces, "be at least 1", lambda n: n >= 1)
        for name, track_ids in (("people", self.people), ("only", self.only or ())):
            wrong = next((track_id for track_id in track_ids if track_id < 1), None)
            if wrong is not None:
                raise ConfigError(f"`{name}`: track IDs start at 1, but one is {wrong}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Which networks enhance the faces, and how they are run.

    Attributes:
        model: Name of shipped weights, or path of a safetensors file.
        texture: Trade-off from 0 (faithful: only details that are certain, with smooth skin) to 1
            (plausible texture of skin and hair).
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: Precision of the networks. "auto" measures once which one is fast on this
            machine.
        threads: CPU threads of the networks. None means a quarter of the CPU's cores, which is
            fastest beside a decoder and an encoder.
    """

    model: str = "fast"
    texture: float = 0.75
    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A value is out of range.
        """
        check_share("texture", self.texture)
        check_choice("precision", self.precision, get_args(Precision))
        if self.threads is not None:
            check_number("threads", self.threads, "be at least 1", lambda n: n >= 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """How the enhancement of a video file is carried out.

    Attributes:
        start: Seconds of the source to skip.
        duration: Seconds to enhance. None means up to the end.
        overwrite: Replace an existing output file.
        resume: Work in segments that are kept beside the output, so that a run can be continued
            after it was stopped for any reason.
        restart: With `resume`, discard the segments of an earlier run and start again.
        report: Report files to write: .json for programs, .html for people.
    """

    start: float = 0.0
    duration: float | None = None
    overwrite: bool = False
    resume: bool = False
    restart: bool = False
    report: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A value is out of range, or two of them exclude each other.
        """
        check_number("start", self.start, "be zero or a positive number", is_not_negative)
        if self.duration is not None:
            check_number("duration", self.duration, "be above zero", is_positive)
        if self.restart and not self.resume:
            raise ConfigError("`restart` requires `resume`")
        for path in self.report:
            if path.suffix.lower() not in REPORTS:
                raise ConfigError(f"{path}: the name of a report must end in .json or .html")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnhancerConfig:
    """How frames are enhanced, whether they come from files, streams, editors or `Enhancer`.

    Attributes:
        faces: Which faces are enhanced, and how strongly.
        networks: Which networks are used, and how they are run.
        scale: Size of the output relative to the source: 1, 2 or 4.
        upscaler: Method that enlarges the background: "lanczos", "cubic", or a function, see
            `types.Upscaler`.
        background: Treatment of the picture around the faces: "keep" changes nothing, "clean"
            removes artifacts with a network at scale 1, and "restore" does so at any scale, and
            enlarges with that network. On a CPU, both are slow.
        on_error: Reaction to a frame that cannot be enhanced: "fail" stops the run, "passthrough"
            leaves the frame unchanged.

    Example:
        >>> EnhancerConfig(faces=FaceSettings(strength=0.8)).faces.strength
        0.8
        >>> EnhancerConfig.from_options(strength=0.8, model="fast").faces.strength
        0.8
    """

    faces: FaceSettings = field(default_factory=FaceSettings)
    networks: NetworkSettings = field(default_factory=NetworkSettings)
    scale: int = 1
    upscaler: "str | Upscaler" = "lanczos"
    background: BackgroundMode = "keep"
    on_error: OnError = "fail"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: A value is out of range.
        """
        check_choice("on_error", self.on_error, get_args(OnError))
        if self.scale not in SCALES:
            raise ConfigError(f"`scale` must be 1, 2 or 4, but is {self.scale}")
        if not callable(self.upscaler) and self.upscaler not in UPSCALERS:
            known = " or ".join(UPSCALERS)
            raise ConfigError(f"`upscaler` must be {known}, or a function, not {self.upscaler}")
        check_choice("background", self.background, get_args(BackgroundMode))
        if self.background == "clean" and self.scale > 1:
            raise ConfigError("`background` clean keeps the size: use restore to enlarge it too")
        if self.background == "restore" and self.upscaler != UPSCALERS[0]:
            raise ConfigError("`background` restore enlarges by itself: drop `upscaler`")

    @classmethod
    def from_options(cls, **options: Any) -> Self:
        """Build a configuration from individual settings, such as ``strength=0.8``.

        Args:
            **options: Fields of this class and of its groups of settings. A name that occurs in two
                groups is not accepted: give the group then, such as ``output=OutputSettings(...)``.
                Paths may be strings, `only` a track ID or a list, and `report` a single path.

        Raises:
            ConfigError: A name is unknown, or a value is out of range.
        """
        return cls().with_options(**options)

    def with_options(self, **options: Any) -> Self:
        """Return a copy in which individual settings are replaced.

        Args:
            **options: As for `from_options`.

        Raises:
            ConfigError: A name is unknown, or a value is out of range.
        """
        changes: dict[str, Any] = {}
        grouped: dict[str, dict[str, Any]] = {}
        groups = self._groups_by_setting()
        own = {item.name for item in fields(self)}
        for name, value in options.items():
            if name in own:
                changes[name] = value
            elif name in groups:
                converted = _CONVERSIONS.get(name, lambda given: given)(value)
                grouped.setdefault(groups[name], {})[name] = converted
            else:
                raise ConfigError(_unknown_setting(name, sorted((*groups, *own))))
        for group, values in grouped.items():
            changes[group] = replace(changes.get(group, getattr(self, group)), **values)
        return replace(self, **changes)

    def options(self) -> dict[str, Any]:
        """Return all settings by name, without the division into groups.

        The settings of reading and of the output stay in their groups, because both groups use some
        of the same names.
        """
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        grouped = [found.pop(name) for name in _FLATTENED_GROUPS if name in found]
        for group in grouped:
            found |= {item.name: getattr(group, item.name) for item in fields(group)}
        return found

    def _groups_by_setting(self) -> dict[str, str]:
        """Return the group of each setting whose name occurs in one group only."""
        found = [
            (setting.name, group.name)
            for group in fields(self)
            if group.name in _GROUPS
            for setting in fields(getattr(self, group.name))
        ]
        count = Counter(name for name, _ in found)
        return {name: group for name, group in found if count[name] == 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(EnhancerConfig):
    """How a video file is enhanced.

    Attributes:
        faces: Which faces are enhanced, and how strongly.
        networks: Which networks are used, and how they are run.
        scale: Size of the output relative to the source: 1, 2 or 4.
        upscaler: Method that enlarges the background: "lanczos", "cubic", or a function, see
            `types.Upscaler`.
        background: Treatment of the picture around the faces: "keep" changes nothing, "clean"
            removes artifacts with a network at scale 1, and "restore" does so at any scale, and
            enlarges with that network. On a CPU, both are slow.
        on_error: Reaction to a frame that cannot be enhanced: "fail" stops the run, "passthrough"
            leaves the frame unchanged.
        reading: How the source is read.
        output: How the result is encoded and delivered.
        job: Part of the video to enhance, and settings for overwriting, resuming and reports.
    """

    reading: ReadSettings = field(default_factory=ReadSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    job: JobSettings = field(default_factory=JobSettings)

    def __post_init__(self) -> None:
        """Check the settings that depend on each other.

        Raises:
            ConfigError: A value is out of range, or two of them exclude each other.
        """
        EnhancerConfig.__post_init__(self)
        if callable(self.upscaler) and self.job.resume:
            raise ConfigError("`resume` requires a named `upscaler`, not a function")
        if self.job.resume and self.reading.hwaccel != "none":
            raise ConfigError("`resume` requires decoding in software: `hwaccel` must be none")


_FLATTENED_GROUPS = ("faces", "networks", "job")
_GROUPS = (*_FLATTENED_GROUPS, "reading", "output")
"""Fields of `EnhancerConfig` and `Config` that are groups of settings."""


def _as_track_ids(value: "int | Collection[int] | None") -> frozenset[int] | None:
    return value if value is None else frozenset((value,) if isinstance(value, int) else value)


def _as_paths(value: "str | Path | Sequence[str | Path]") -> tuple[Path, ...]:
    paths = (value,) if isinstance(value, str | Path) else value
    return tuple(map(Path, paths))


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "only": _as_track_ids,
    "report": _as_paths,
    "tracks": lambda value: None if value is None else Path(value),
    "rate": lambda value: None if value is None else Fraction(value),
}
"""Conversions of settings that can be given by name in more convenient types."""


def _unknown_setting(name: str, known: Sequence[str]) -> str:
    alike = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean '{alike[0]}'? " if alike else ""
    return f"unknown setting '{name}': {meant}choose from {', '.join(known)}"
