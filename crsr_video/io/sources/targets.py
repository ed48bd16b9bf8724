"""Interpret the address of a source: determine its kind, and FFmpeg's options to open it.

Nothing is opened here. A source may use only the protocols that its own address needs: a playlist
from the network cannot make anybody read local files, and a file cannot connect to anything.
"""

import math
import stat
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import av

from crsr_video.config import PIPE_INPUTS, ReadSettings
from crsr_video.errors import ConfigError, InputError
from crsr_video.io import limits, pipes, pixel_formats

PIPE_NAMES = ("-", "pipe:", "pipe:0")
DEVICES = ("v4l2", "avfoundation", "dshow", "lavfi")
"""FFmpeg's names of the camera interfaces, and of its generator of test pictures (lavfi)."""

_HTTP = "http,https,httpproxy,tcp,tls,crypto"
_RTMP = "rtmp,rtmps,rtmpt,rtmpts,ffrtmphttp,http,https,tcp,tls"
_RTP = "rtp,srtp,udp,tcp,tls,http,https"
PROTOCOLS = {
    **dict.fromkeys(("http", "https"), _HTTP),
    **dict.fromkeys(("rtmp", "rtmps", "rtmpt", "rtmpts"), _RTMP),
    **dict.fromkeys(("rtsp", "rtsps"), _RTP),
    **dict.fromkeys(("rtp", "srtp"), "rtp,srtp,udp"),
    **dict.fromkeys(("udp", "udplite"), "udp,udplite"),
    **dict.fromkeys(("tcp", "tls"), "tcp,tls"),
}
"""FFmpeg's protocols that may be used for an address, by the scheme of the address."""
RELAYED = ("srt", "rist")
"""Schemes that PyAV's FFmpeg lacks, but that an `ffmpeg` program may have."""

_DEMUXERS = {
    "y4m": "yuv4mpegpipe",
    "raw": "rawvideo",
    "mkv": "matroska",
    "ts": "mpegts",
    "mp4": "mov",
    "video4linux2": "v4l2",
    "video4linux": "v4l2",
}
"""FFmpeg's names of demuxers, by more common names for the same formats."""
_LIVE_FORMATS = ("hls", "rtsp", "rtp", "rtp_mpegts", "webvtt")
_FORCED_FORMATS = ("rawvideo", "image2pipe")
"""Formats that any data could have. They are read only if they are requested."""
_CLOCKLESS = ("h264", "hevc", "m4v", "mpegvideo", "mjpeg", "mpjpeg", "obu", "image2pipe", "vvc")
_LIVE_ANALYSIS = {"analyzeduration": "1000000", "fpsprobesize": "0"}
"""One second is enough to find all streams; the frame rate is not needed."""


class SourceKind(Enum):
    """How the bytes of a source arrive."""

    PIPE = "pipe"
    DEVICE = "device"
    NETWORK = "network"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A source that is ready to be opened."""

    kind: SourceKind
    name: str
    """Name in messages: the address without a password."""
    url: str
    """Address for FFmpeg. For a pipe, this is "-" or the path of a FIFO."""
    format: str | None = None
    """FFmpeg's name of the demuxer, or None to detect the format."""
    options: dict[str, str]
    """Options for FFmpeg's demuxer: limits, options from the settings, and options of the user."""
    is_relayed: bool = False
    """Whether an `ffmpeg` program receives the source and passes it on through a pipe."""
    is_paced: bool = False
    """Whether frames are held back until they are due."""
    comes_in_pieces: bool = False
    """Whether the source arrives in pieces of some seconds (HLS), with silences between them."""

    @property
    def is_live(self) -> bool:
        """Whether frames arrive at their own pace rather than as fast as they are read."""
        return self.is_paced or self.kind is not SourceKind.FILE

    @property
    def path(self) -> Path:
        """Path of a file."""
        return Path(self.url.removeprefix("file:"))


def recorded_target(path: Path, settings: ReadSettings) -> Target:
    """Return the target of a recorded video: a file, or standard input.

    Raises:
        ConfigError: The settings do not fit the source.
    """
    if not pipes.is_standard(path):
        if settings.format is not None:
            raise ConfigError("`format` is for standard input only: a file states its own")
        _check_shape(settings, None)
        # FFmpeg would treat the name of a .jpg as a numbered sequence, and open other files.
        form = "jpeg_pipe" if path.suffix.lower() in (".jpg", ".jpeg", ".jpe") else None
        return Target(
            kind=SourceKind.FILE,
            name=str(path),
            url=f"file:{path}",
            format=form,
            options=_options(),
        )
    name = _demuxer(settings)
    shape = _check_shape(settings, name)
    if name == "rawvideo":
        shape = {"pixel_format": "yuv420p", "framerate": "25"} | shape
    return Target(
        kind=SourceKind.PIPE, name=pipes.INPUT, url="-", format=name, options=_options(name) | shape
    )


def live_target(address: str, settings: ReadSettings) -> Target:
    """Return the target of a live source.

    Raises:
        InputError: The address does not name a source, or this system cannot read it.
    """
    if not address:
        raise InputError("a source is needed: -, a camera, a URL or a file")
    target = _live_target(address, settings)
    if settings.loop and target.kind is not SourceKind.FILE:
        raise InputError(f"{target.name}: only a file can be played in a loop")
    return target


def is_clockless(target: Target, demuxer: str, settings: ReadSettings) -> bool:
    """Return whether FFmpeg makes up the timestamps, so that arrival times should replace them."""
    comes_live = target.is_live and not target.is_paced
    return demuxer in _CLOCKLESS and settings.rate is None and comes_live


def masked(address: str) -> str:
    """Return an address without its password, for messages that others may read."""
    try:
        password = urlsplit(address).password if "://" in address else None
    except ValueError:
        return address
    return address.replace(f":{password}@", ":***@", 1) if password else address


# Kinds of live sources ---------------------------------------------------------------------------


def _live_target(address: str, settings: ReadSettings) -> Target:
    device = _DEMUXERS.get(settings.format or "", settings.format)
    if device is None and address.startswith("/dev/video"):
        device = "v4l2"
    if device in DEVICES:
        return _device(address, settings, device)
    if address in PIPE_NAMES or _is_fifo(address):
        return _pipe(address, settings)
    scheme = address.partition(":")[0].lower() if "://" in address else ""
    if scheme in ("", "file") or not scheme.isalnum():
        return _file(address, settings)
    return _network(address, settings, scheme)


def _pipe(address: str, settings: ReadSettings) -> Target:
    is_standard = address in PIPE_NAMES
    name = _demuxer(settings)
    shape = _check_shape(settings, name, is_live=True)
    return Target(
        kind=SourceKind.PIPE,
        name=pipes.INPUT if is_standard else address,
        url="-" if is_standard else address,
        format=name,
        options=_options(name) | _LIVE_ANALYSIS | shape | dict(settings.options),
        is_paced=settings.realtime,
    )


def _file(address: str, settings: ReadSettings) -> Target:
    path = address.removeprefix("file://").removeprefix("file:")
    name = _demuxer(settings, ("hls",))
    is_playlist = name == "hls" or Path(path).suffix.lower() in (".m3u8", ".m3u")
    name = "hls" if is_playlist else name
    protocols = f"{limits.PROTOCOLS},crypto" if is_playlist else limits.PROTOCOLS
    shape = _check_shape(settings, name, is_live=True)
    return Target(
        kind=SourceKind.FILE,
        name=path,
        url=f"file:{path}",
        format=name,
        options=_options(name, protocols) | shape | dict(settings.options),
        is_paced=settings.realtime,
    )


def _network(address: str, settings: ReadSettings, scheme: str) -> Target:
    name, shown = _demuxer(settings, _LIVE_FORMATS), masked(address)
    if scheme in RELAYED:
        return Target(
            kind=SourceKind.NETWORK,
            name=shown,
            url=address,
            format=name,
            options=_options(name) | _LIVE_ANALYSIS,
            is_relayed=True,
        )
    if scheme not in PROTOCOLS:
        known = ", ".join(sorted((*PROTOCOLS, *RELAYED)))
        raise InputError(f"{shown}: {scheme} is not a supported protocol (use one of {known})")
    is_playlist = name == "hls" or urlsplit(address).path.lower().endswith((".m3u8", ".m3u"))
    extra = {"rtsp_transport": "tcp"} if scheme in ("rtsp", "rtsps") else {}
    if scheme == "udp":  # A full buffer loses datagrams, but need not end the run.
        extra |= {"overrun_nonfatal": "1", "reuse": "1"}
    # The default of FFmpeg's listen_timeout lies outside the range that FFmpeg itself allows.
    if "listen" in settings.options.get("rtsp_flags", ""):
        extra |= {"listen_timeout": str(math.ceil(settings.connect_seconds))}
    whitelists = _options(name, PROTOCOLS[scheme], _LIVE_FORMATS)
    return Target(
        kind=SourceKind.NETWORK,
        name=shown,
        url=address,
        format=name,
        options=_LIVE_ANALYSIS | extra | whitelists | dict(settings.options),
        is_paced=settings.realtime or is_playlist,
        comes_in_pieces=is_playlist,
    )


def _device(address: str, settings: ReadSettings, name: str) -> Target:
    if name not in _known_formats():
        raise InputError(f"{address}: there is no {name} on this system ({sys.platform})")
    shape = {} if name == "lavfi" else _check_shape(settings, name, is_live=True)
    if name == "v4l2" and "pixel_format" in shape:
        shape["input_format"] = shape.pop("pixel_format")
    # The option has no name for AVFMT_FLAG_NONBLOCK, whose value is 4. Cameras are polled, because
    # a call that waits for a picture could not be interrupted.
    options = {"fflags": "+4", "max_streams": str(limits.MAX_STREAMS)}
    return Target(
        kind=SourceKind.DEVICE,
        name=address,
        url=f"video={address}" if name == "dshow" and "=" not in address else address,
        format=name,
        options=options | _LIVE_ANALYSIS | shape | dict(settings.options),
    )


# Checks of the settings --------------------------------------------------------------------------


def _is_fifo(address: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(address).stat().st_mode)
    except (OSError, ValueError):
        return False


def _known_formats() -> set[str]:
    return {part for known in av.formats_available for part in known.split(",")}


def _demuxer(settings: ReadSettings, more_formats: tuple[str, ...] = ()) -> str | None:
    """Return FFmpeg's name of the requested format."""
    if settings.format is None:
        return None
    name = _DEMUXERS.get(settings.format, settings.format)
    allowed = {*limits.FORMATS, *_FORCED_FORMATS, *more_formats}
    if name not in allowed or name not in _known_formats():
        known = ", ".join(PIPE_INPUTS)
        raise ConfigError(f"`format` must be one of {known}, but is {settings.format}")
    return name


def _options(
    name: str | None = None, protocols: str = limits.PROTOCOLS, more_formats: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return FFmpeg's options that limit how a source may be opened."""
    formats = dict.fromkeys((*limits.FORMATS, *more_formats, *([name] if name else ())))
    return {
        **limits.opening_options(),
        "format_whitelist": "rawvideo" if name == "rawvideo" else ",".join(formats),
        "protocol_whitelist": protocols,
    }


def _check_shape(
    settings: ReadSettings, name: str | None, *, is_live: bool = False
) -> dict[str, str]:
    """Return size, pixel format and rate as FFmpeg's options."""
    shape = {}
    takes_shape = name == "rawvideo" or name in DEVICES
    # A live source may also have a rate if it is a stream without timestamps.
    has_rate = settings.rate is not None and not is_live
    if not takes_shape and (settings.size or settings.pixel_format or has_rate):
        sources = "`format` rawvideo" + (" and cameras" if is_live else "")
        raise ConfigError(f"`size`, `pixel_format` and `rate` are for {sources} only")
    if settings.size is not None:
        width, height = settings.size
        limits.check_size("raw video" if name == "rawvideo" else "camera", width, height)
        shape["video_size"] = f"{width}x{height}"
    if settings.pixel_format is not None:
        if name == "rawvideo" and not pixel_formats.is_pixel_format(settings.pixel_format):
            raise ConfigError(f"there is no pixel format {settings.pixel_format!r} in this FFmpeg")
        shape["pixel_format"] = settings.pixel_format
    if settings.rate is not None:
        shape["framerate"] = str(settings.rate)
    return shape
