"""Where a sink's address leads, and in which container."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from crsr_video.errors import OutputError
from crsr_video.io.containers import BY_SUFFIX
from crsr_video.io.feed import SinkSettings

STANDARD = "-"
NETWORK: dict[str, str] = {
    "rtmp": "flv",
    "rtmps": "flv",
    "srt": "mpegts",
    "udp": "mpegts",
    "tcp": "mpegts",
    "rtsp": "rtsp",
    "rtsps": "rtsp",
}
"""Protocols that are spoken, and the container that travels in them."""
ALIASES = {"y4m": "yuv4mpegpipe", "raw": "rawvideo", "ts": "mpegts", "mkv": "matroska"}
"""Short names of containers."""
PIPED = ("nut", "yuv4mpegpipe", "rawvideo", "mpegts", "matroska", "flv")
"""Containers that can be written to standard output, the default first."""
PLAIN = ("yuv4mpegpipe", "rawvideo")
"""Nothing but pictures: no sound, no times."""
_FILES = ("mp4", "mov", "matroska", "mpegts", "flv", "nut", *PLAIN, "hls")
_SUFFIXES = {".y4m": "yuv4mpegpipe", ".m3u8": "hls", ".yuv": "rawvideo", ".rgb": "rawvideo"}
_CAMERA = "camera:"
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


@dataclass(frozen=True, slots=True)
class Target:
    """An address, taken apart."""

    kind: str
    """"stdout", "camera", "file", "hls", or a protocol of `NETWORK`."""
    address: str
    """As FFmpeg or the system wants it: a path, an URL, a camera's name."""
    container: str
    """FFmpeg's name of the muxer."""
    name: str
    """For messages: without passwords and stream keys."""

    @property
    def parts(self) -> SplitResult:
        """The URL's parts."""
        return urlsplit(self.address)

    @property
    def networked(self) -> bool:
        """Whether it may break and be connected to again."""
        return self.kind in NETWORK


def target_of(settings: SinkSettings) -> Target:
    """Find out what an address means.

    Raises: OutputError: nothing that can be written to, or not in this container.
    """
    address = settings.address
    asked = ALIASES.get(settings.format or "", settings.format)
    if address == STANDARD:
        return Target(
            "stdout", address, _checked(asked, PIPED, "standard output"), "standard output"
        )
    if address.startswith(_CAMERA):
        if asked is not None:
            raise OutputError(f"{address}: a virtual camera has no container, so no {asked}")
        return Target("camera", address.removeprefix(_CAMERA), "", address)
    if _SCHEME.match(address) and not address.startswith("file://"):
        return _network(address, asked)
    return _file(re.sub("^file:(//)?", "", address), asked)


def _checked(asked: str | None, known: tuple[str, ...], where: str) -> str:
    if asked is None:
        return known[0]
    if asked not in known:
        raise OutputError(f"{where} does not take {asked!r}, only {' '.join(known)}")
    return asked


def _network(address: str, asked: str | None) -> Target:
    kind = urlsplit(address).scheme.lower()
    if kind not in NETWORK:
        known = " ".join(f"{name}://" for name in NETWORK)
        raise OutputError(f"{shown(address)}: is not written to; known are {known} and files")
    try:
        parts = urlsplit(address)
        no_host = not parts.hostname or (kind in ("udp", "tcp", "srt") and not parts.port)
    except ValueError as error:
        raise OutputError(f"{shown(address)}: is no address: {error}") from error
    if no_host:
        raise OutputError(f"{shown(address)}: has no host and port")
    return Target(kind, address, _checked(asked, (NETWORK[kind],), f"{kind}://"), shown(address))


def _file(address: str, asked: str | None) -> Target:
    path = Path(address)
    if path.is_char_device():
        hint = f"a virtual camera is written to as {_CAMERA}{address}"
        raise OutputError(f"{address}: is a device, not a file; {hint}")
    suffix = path.suffix.lower()
    container = asked or _SUFFIXES.get(suffix) or BY_SUFFIX.get(suffix)
    if container not in _FILES:
        known = " ".join([*(s for s, name in BY_SUFFIX.items() if name in _FILES), *_SUFFIXES])
        what = f"as {asked!r}" if asked else f"with the ending {suffix!r}"
        raise OutputError(f"{address}: no live file is written {what}, only {known}")
    return Target("hls" if container == "hls" else "file", address, container, address)


def shown(address: str) -> str:
    """An URL as it may be printed: no user, no password, no stream key, no query."""
    scheme, _, rest = address.partition("://")
    rest = rest.partition("?")[0]
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if scheme.lower().startswith("rtmp") and path.count("/") >= 1:
        path = f"{path.rpartition('/')[0]}/..."
    return f"{scheme}://{host}{slash}{path}"
