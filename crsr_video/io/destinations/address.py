"""Parse the address of a result into the kind of destination and the container written there."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from crsr_video.errors import OutputError
from crsr_video.io.containers import BY_SUFFIX, PLAIN

STANDARD_OUTPUT = "standard output"
"""Name of standard output in messages."""
NETWORK: dict[str, str] = {
    "rtmp": "flv",
    "rtmps": "flv",
    "srt": "mpegts",
    "udp": "mpegts",
    "tcp": "mpegts",
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "whip+http": "whip",
    "whip+https": "whip",
}
"""Supported protocols, and the container that each one transports."""
_WRITTEN_BY_RELAY = ("rtsp", "whip")
"""Containers whose muxers make the connection themselves, in the relay process."""
_ALIASES = {"y4m": "yuv4mpegpipe", "raw": "rawvideo", "ts": "mpegts", "mkv": "matroska"}
"""Short names of containers."""
_PIPED = ("nut", "yuv4mpegpipe", "rawvideo", "mpegts", "matroska", "flv")
"""Containers that can be written to standard output, the default first."""
_FILES = ("mp4", "mov", "matroska", "mpegts", "flv", "nut", *PLAIN, "hls")
_SUFFIXES = {".y4m": "yuv4mpegpipe", ".m3u8": "hls", ".yuv": "rawvideo", ".rgb": "rawvideo"}
_CAMERA = "camera:"
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


@dataclass(frozen=True, slots=True)
class Destination:
    """A parsed address."""

    kind: str
    """"stdout", "camera", "file", "hls", or a protocol of `NETWORK`."""
    address: str
    """Path, URL or camera name, as FFmpeg or the system expects it."""
    container: str
    """FFmpeg's name of the muxer; empty for a camera."""
    name: str
    """Name for messages, without passwords and stream keys."""

    @property
    def path(self) -> Path:
        """The path of a file or playlist; "-" for standard output."""
        return Path(self.address)

    @property
    def url(self) -> SplitResult:
        """The parts of a network address."""
        return urlsplit(self.address)

    @property
    def is_file(self) -> bool:
        """Whether the result is a single file. It appears only when it is complete."""
        return self.kind == "file"

    @property
    def is_standard_output(self) -> bool:
        """Whether the result goes to standard output."""
        return self.kind == "stdout"

    @property
    def is_network(self) -> bool:
        """Whether the result goes over a network connection, which can break and be reopened."""
        return self.kind in NETWORK

    @property
    def is_written_by_relay(self) -> bool:
        """Whether the relay process writes the container, and connects after it has the header."""
        return self.container in _WRITTEN_BY_RELAY

    @property
    def muxer(self) -> str:
        """The container that this process writes: NUT for a relay process that writes another."""
        return "nut" if self.is_written_by_relay else self.container


def file_destination(path: Path, container: str) -> Destination:
    """Return the destination for a file in a given container."""
    return Destination("file", str(path), container, str(path))


def standard_output_destination(container: str | None) -> Destination:
    """Return the destination for standard output.

    Args:
        container: FFmpeg's name, or a short one such as "y4m". Defaults to NUT.
    """
    muxer = _checked(_muxer(container), _PIPED, STANDARD_OUTPUT)
    return Destination("stdout", "-", muxer, STANDARD_OUTPUT)


def parse_address(address: str, container: str | None = None) -> Destination:
    """Return the destination that the address of a live result names.

    Args:
        address: "-" for standard output, "camera:" with or without a name, a URL, or a path.
        container: FFmpeg's name, or a short one such as "y4m". The default depends on the address.

    Raises:
        OutputError: The address is not a valid destination, or does not accept the container.
    """
    if address == "-":
        return standard_output_destination(container)
    muxer = _muxer(container)
    if address.startswith(_CAMERA):
        if muxer is not None:
            raise OutputError(f"{address}: a virtual camera has no container, so {muxer} is wrong")
        return Destination("camera", address.removeprefix(_CAMERA), "", address)
    if _SCHEME.match(address) and not address.startswith("file://"):
        return _network(address, muxer)
    return _file(re.sub("^file:(//)?", "", address), muxer)


def _muxer(container: str | None) -> str | None:
    return _ALIASES.get(container or "", container)


def _checked(asked: str | None, known: tuple[str, ...], where: str) -> str:
    if asked is None:
        return known[0]
    if asked not in known:
        raise OutputError(f"{where} does not take {asked!r}, only {', '.join(known)}")
    return asked


def _network(address: str, asked: str | None) -> Destination:
    name = without_secrets(address)
    kind = urlsplit(address).scheme.lower()
    if kind not in NETWORK:
        known = ", ".join(f"{protocol}://" for protocol in NETWORK)
        raise OutputError(f"{name}: unsupported protocol; use {known} or a file")
    try:
        parts = urlsplit(address)
        incomplete = not parts.hostname or (kind in ("udp", "tcp", "srt") and not parts.port)
    except ValueError as error:
        raise OutputError(f"{name}: invalid address: {error}") from error
    if incomplete:
        raise OutputError(f"{name}: the address has no host and port")
    return Destination(kind, address, _checked(asked, (NETWORK[kind],), f"{kind}://"), name)


def _file(address: str, asked: str | None) -> Destination:
    path = Path(address)
    if path.is_char_device():
        raise OutputError(f"{address}: is a device; write {_CAMERA}{address} for a virtual camera")
    suffix = path.suffix.lower()
    container = asked or _SUFFIXES.get(suffix) or BY_SUFFIX.get(suffix)
    if container not in _FILES:
        known = ", ".join([*(s for s, name in BY_SUFFIX.items() if name in _FILES), *_SUFFIXES])
        what = f"as {asked!r}" if asked else f"with the suffix {suffix!r}"
        raise OutputError(f"{address}: no live file can be written {what}; use one of {known}")
    return Destination("hls" if container == "hls" else "file", address, container, address)


def without_secrets(address: str) -> str:
    """Return a URL without user, password, stream key and query, so that it is safe to print."""
    scheme, _, rest = address.partition("://")
    rest = rest.partition("?")[0]
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if scheme.lower().startswith("rtmp") and path.count("/") >= 1:
        path = f"{path.rpartition('/')[0]}/..."
    if scheme.lower().startswith("whip") and path:
        path = "..."
    return f"{scheme}://{host}{slash}{path}"
