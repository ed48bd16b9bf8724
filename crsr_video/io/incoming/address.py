"""What an address means: the kind of source, and how FFmpeg is to open it.

Nothing is opened here. A source may only use the protocols that its own address needs: a playlist
from the network cannot make anybody read local files, and a file cannot connect to anything.
"""

import math
import stat
import sys
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import av

from crsr_video.errors import InputError
from crsr_video.io import limits
from crsr_video.io.feed import SourceSettings

PIPE_NAMES = ("-", "pipe:", "pipe:0")

DEVICES = ("v4l2", "avfoundation", "dshow", "lavfi")
"""FFmpeg's names of the kinds of cameras, and of its generator of test pictures."""

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
"""By the scheme of an address: FFmpeg's protocols that may be used for it."""

BRIDGED = ("srt", "rist")
"""Schemes that PyAV's FFmpeg does not have; an `ffmpeg` program may."""

_COMMON_NAMES = {"y4m": "yuv4mpegpipe", "raw": "rawvideo", "mkv": "matroska", "ts": "mpegts"}
"""What formats are called elsewhere, to FFmpeg's names of their readers."""
_LIVE_FORMATS = ("hls", "rtsp", "rtp", "rtp_mpegts", "webvtt")
_CLOCKLESS = ("h264", "hevc", "m4v", "mpegvideo", "mjpeg", "mpjpeg", "obu", "image2pipe", "vvc")
_ANALYSIS = {"analyzeduration": "1000000", "fpsprobesize": "0"}
"""A second is enough to know all streams by; none for their frame rate, which is not used."""


class Kind(Enum):
    """How a source behaves."""

    PIPE = "pipe"
    DEVICE = "device"
    NETWORK = "network"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A source, ready to be opened."""

    kind: Kind
    shown: str
    """As the user is told of it: without a password."""
    url: str
    """As FFmpeg knows it; of a pipe: "-", or the path of a FIFO."""
    format: str | None
    options: dict[str, str]
    """For FFmpeg's reader: the limits, what the settings ask for, and the user's own."""
    bridged: bool = False
    """Read by way of an `ffmpeg` program."""
    paced: bool = False
    """Frames are given out at the pace of their times."""
    in_pieces: bool = False
    """It comes some seconds at a time (HLS): it must be paced, and has longer silences."""

    @property
    def live(self) -> bool:
        """Whether frames come at a pace of their own, rather than as fast as they are taken."""
        return self.paced or self.kind is not Kind.FILE

    def clockless(self, name: str, settings: SourceSettings) -> bool:
        """Whether times of this format are made up, so that those of arrival are better."""
        return name in _CLOCKLESS and settings.rate is None and self.live and not self.paced


def target_of(settings: SourceSettings) -> Target:
    """Raises: InputError: no source can be meant, or it cannot be had here."""
    if settings.format in _COMMON_NAMES:
        settings = replace(settings, format=_COMMON_NAMES[settings.format])
    if not settings.address:
        raise InputError("a source is needed: -, a device, an address or a file")
    target = _target(settings)
    if settings.loop and target.kind is not Kind.FILE:
        raise InputError(f"{target.shown}: only a file can be played in a loop")
    return target


def _target(settings: SourceSettings) -> Target:
    address, device = settings.address, _device_format(settings)
    if device:
        return _device(settings, device)
    if address in PIPE_NAMES or _is_fifo(address):
        return _pipe(settings)
    scheme = address.partition(":")[0].lower() if "://" in address else ""
    if scheme in ("", "file") or not scheme.isalnum():
        return _file(settings)
    return _network(settings, scheme)


def masked(address: str) -> str:
    """An address without its password, for lines that others may read."""
    try:
        password = urlsplit(address).password if "://" in address else None
    except ValueError:
        return address
    return address.replace(f":{password}@", ":***@", 1) if password else address


# Kinds ------------------------------------------------------------------------------------------


def _pipe(settings: SourceSettings) -> Target:
    named = settings.address not in PIPE_NAMES
    _check_format(settings.format)
    return Target(
        kind=Kind.PIPE,
        shown=settings.address if named else "standard input",
        url=settings.address if named else "-",
        format=settings.format,
        options=_options(settings, limits.PROTOCOLS) | _ANALYSIS | _shape(settings, "pixel_format"),
        paced=settings.realtime,
    )


def _file(settings: SourceSettings) -> Target:
    path = settings.address.removeprefix("file://").removeprefix("file:")
    _check_format(settings.format)
    hls = settings.format == "hls" or Path(path).suffix.lower() in (".m3u8", ".m3u")
    protocols = f"{limits.PROTOCOLS},crypto" if hls else limits.PROTOCOLS
    return Target(
        kind=Kind.FILE,
        shown=path,
        url=f"file:{path}",
        format="hls" if hls else settings.format,
        options=_options(settings, protocols, hls=hls) | _shape(settings, "pixel_format"),
        paced=settings.realtime,
    )


def _network(settings: SourceSettings, scheme: str) -> Target:
    shown, address = masked(settings.address), settings.address
    _check_format(settings.format)
    if scheme in BRIDGED:
        options = _options(settings, limits.PROTOCOLS) | _ANALYSIS
        return Target(
            kind=Kind.NETWORK,
            shown=shown,
            url=address,
            format=settings.format,
            options=options,
            bridged=True,
        )
    if scheme not in PROTOCOLS:
        known = ", ".join(sorted((*PROTOCOLS, *BRIDGED)))
        raise InputError(f"{shown}: {scheme} is no protocol for live sources (those are {known})")
    hls = settings.format == "hls" or urlsplit(address).path.lower().endswith((".m3u8", ".m3u"))
    extra = {"rtsp_transport": "tcp"} if scheme in ("rtsp", "rtsps") else {}
    if scheme == "udp":  # A full buffer loses datagrams; it need not end the run.
        extra |= {"overrun_nonfatal": "1", "reuse": "1"}
    if "listen" in settings.options.get("rtsp_flags", ""):  # Its default is out of its own range.
        extra |= {"listen_timeout": str(math.ceil(settings.connect_seconds))}
    return Target(
        kind=Kind.NETWORK,
        shown=shown,
        url=address,
        format=settings.format,
        options=_ANALYSIS | extra | _options(settings, PROTOCOLS[scheme], hls=True),
        paced=settings.realtime or hls,
        in_pieces=hls,
    )


def _device(settings: SourceSettings, name: str) -> Target:
    if name not in av.formats_available and not any(
        name in listed.split(",") for listed in av.formats_available
    ):
        raise InputError(f"{settings.address}: there is no {name} on this system ({sys.platform})")
    shape = _shape(settings, "input_format" if name == "v4l2" else "pixel_format")
    url = settings.address
    if name == "dshow" and "=" not in url:
        url = f"video={url}"
    if name == "lavfi":
        shape = {}
    # The number is AVFMT_FLAG_NONBLOCK, which has no name: cameras are asked again and again, for
    # a call that waits for a picture could not be ended.
    options = {"fflags": "+4", "max_streams": str(limits.MAX_STREAMS)}
    return Target(
        kind=Kind.DEVICE,
        shown=settings.address,
        url=url,
        format=name,
        options=options | _ANALYSIS | shape | dict(settings.options),
    )


# Parts ------------------------------------------------------------------------------------------


def _device_format(settings: SourceSettings) -> str | None:
    if settings.format in ("video4linux2", "video4linux"):
        return "v4l2"
    if settings.format in DEVICES:
        return settings.format
    named = settings.address.startswith("/dev/video")
    return "v4l2" if settings.format is None and named else None


def _is_fifo(address: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(address).stat().st_mode)
    except (OSError, ValueError):
        return False


def _check_format(name: str | None) -> None:
    """Raises: InputError: FFmpeg has no such format, or it opens what it should not."""
    if name is None or name in _LIVE_FORMATS or name == "rawvideo":
        return
    listed = {part for known in av.formats_available for part in known.split(",")}
    if name not in listed:
        raise InputError(f"{name}: FFmpeg knows no format of this name")
    if name not in limits.FORMATS and name not in ("mjpeg", "image2pipe"):
        raise InputError(f"{name}: this format is not read from a live source")


def _options(settings: SourceSettings, protocols: str, *, hls: bool = False) -> dict[str, str]:
    """The limits under which a source is opened; the user's own options come last."""
    formats = (*limits.FORMATS, "rawvideo", "image2pipe", *(_LIVE_FORMATS if hls else ()))
    return {
        **limits.opening_options(),
        "format_whitelist": ",".join(formats),
        "protocol_whitelist": protocols,
        **settings.options,
    }


def _shape(settings: SourceSettings, pixel_format: str) -> dict[str, str]:
    """Size, form and rate of raw video, or what a camera is asked for."""
    raw = settings.format == "rawvideo"
    if raw and settings.size is None:
        raise InputError("raw video needs its size, such as 640x480")
    shape = {}
    if settings.size is not None:
        width, height = settings.size
        if min(width, height) < 1:
            raise InputError(f"{width}x{height} is no size of a picture")
        limits.check_size("raw video" if raw else settings.address, width, height)
        shape["video_size"] = f"{width}x{height}"
    if settings.rate is not None:
        if settings.rate <= 0:
            raise InputError(f"{settings.rate} is no number of frames a second")
        shape["framerate"] = str(settings.rate)
    if settings.pixel_format is not None:
        shape[pixel_format] = settings.pixel_format
    return shape
