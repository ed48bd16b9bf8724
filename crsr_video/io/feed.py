"""What travels between a live source and a live sink: items with the time of their arrival."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from av.stream import Stream

from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame, VideoInfo

__all__ = ["Arrival", "Feed", "SourceSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Where a live picture comes from."""

    address: str
    """"-" for standard input, a device, an URL, or a file."""
    format: str | None = None
    """FFmpeg's name of the format or device kind; None: as the address or the bytes tell."""
    size: tuple[int, int] | None = None
    """Width and height of raw video, or the size that a camera is asked for."""
    pixel_format: str | None = None
    """Of raw video, or what a camera is asked for."""
    rate: Fraction | None = None
    """Frames a second, likewise."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options for FFmpeg's reader, passed on as they are."""
    realtime: bool = False
    """Play a file at its own pace, as if a camera sent it."""
    loop: bool = False
    """With `realtime`: begin again at the end, times going on."""
    connect_seconds: float = 10.0
    """A source that has not sent a picture after so long is given up, at the start, or tried
    anew, later."""
    stall_seconds: float = 5.0
    """A network source that sends nothing for so long is connected to anew."""
    reconnect: bool = True
    """Whether network sources are connected to again after they broke off."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A connected source, as a sink needs to know it.

    A new one follows every reconnection and every change of size or format; times go on increasing.
    """

    info: VideoInfo
    first: Frame
    """Pixel format, colour and rotation as they really are; it also comes as an `Arrival`."""
    others: tuple[Stream, ...] = ()
    """Audio and the like that a sink may copy; `Passthrough.stream` is their `index`."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One thing that came from a live source."""

    item: Frame | Passthrough | Feed
    at: float
    """`time.monotonic` when the last of its bytes had been read."""
