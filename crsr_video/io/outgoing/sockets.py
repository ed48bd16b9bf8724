"""Wires that are sockets of our own: UDP and TCP."""

import errno
import os
import select
import socket
import threading
import time
from urllib.parse import parse_qs

from crsr_video.errors import OutputError
from crsr_video.io.outgoing.address import Target
from crsr_video.io.outgoing.wire import PipeWire, Wire

_TS_PACKET = 188
_DATAGRAM = 7 * _TS_PACKET
"""What fits into an Ethernet frame."""
_SEND_BUFFER = 1 << 20
_TTL = 16
"""Routers that a multicast may cross, as FFmpeg has it."""
_POLL_MS = 100


class DatagramWire(Wire):
    """MPEG-TS in UDP datagrams of whole packets; nobody needs to listen.

    Args:   options: "pkt_size" and "ttl", as FFmpeg calls them.
    Raises: OSError: the host is not known, or not reachable. ValueError: an option is no number.
    """

    def __init__(self, host: str, port: int, name: str, options: dict[str, str]) -> None:
        super().__init__(name)
        self._size = int(options.get("pkt_size", _DATAGRAM))
        ttl = int(options.get("ttl", _TTL))
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            if family == socket.AF_INET:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            self._socket.connect(place)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def _send(self, view: memoryview) -> int:
        try:
            return self._socket.send(view[: self._size])
        except ConnectionRefusedError:
            return min(len(view), self._size)  # Nobody listens at the moment.
        except BlockingIOError:
            select.select([], [self._socket], [], _POLL_MS / 1e3)
            return 0

    def _free(self) -> None:
        self._socket.close()


class TcpWire(PipeWire):
    """A TCP connection.

    Args:   seconds: that connecting may take. stop: when set, it is given up soon.
    Raises: OSError: it is refused, or not there in time.
    """

    def __init__(
        self, host: str, port: int, name: str, seconds: float, stop: threading.Event
    ) -> None:
        with _connected(host, port, seconds, stop) as connected:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().__init__(connected.fileno(), name)


def _connected(host: str, port: int, seconds: float, stop: threading.Event) -> socket.socket:
    """A connection to the first of a host's addresses that takes one."""
    end, failure = time.monotonic() + seconds, OSError(errno.EHOSTUNREACH, "has no address")
    for family, kind, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        tried = socket.socket(family, kind)
        try:
            tried.setblocking(False)
            code = tried.connect_ex(place)
            if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                code = _outcome(tried, end, stop)
            if code:
                raise OSError(code, os.strerror(code))
        except OSError as error:
            tried.close()
            failure = error
            continue
        return tried
    raise failure


def _outcome(tried: socket.socket, end: float, stop: threading.Event) -> int:
    """What has become of connecting: 0, or why not."""
    while not select.select([], [tried], [], _POLL_MS / 1e3)[1]:
        if stop.is_set():
            return errno.ECANCELED
        if time.monotonic() > end:
            return errno.ETIMEDOUT
    return tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def datagrams(target: Target) -> DatagramWire:
    """A UDP wire to an address.

    Raises: OutputError: it has options that are not known. OSError: as `DatagramWire`.
    """
    parts = target.parts
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = ", ".join(sorted(options.keys() - {"pkt_size", "ttl"}))
    if unknown:
        raise OutputError(f"{target.name}: has no option {unknown}, only pkt_size and ttl")
    assert parts.hostname is not None and parts.port is not None
    if not all(value.isdecimal() and int(value) > 0 for value in options.values()):
        raise OutputError(f"{target.name}: pkt_size and ttl are numbers above zero")
    return DatagramWire(parts.hostname, parts.port, target.name, options)
