"""Byte streams over UDP and TCP sockets."""

import select
import socket
from urllib.parse import parse_qs

from crsr_video.errors import OutputError
from crsr_video.io.destinations.address import Destination
from crsr_video.io.destinations.byte_streams import ByteStream, PipeStream

_TS_PACKET = 188
_DATAGRAM = 7 * _TS_PACKET
"""Bytes per datagram: as many whole MPEG-TS packets as fit into an Ethernet frame."""
_SEND_BUFFER = 1 << 20
_TTL = 16
"""Number of routers that a multicast packet may cross. FFmpeg has the same default."""
_POLL_SECONDS = 0.1


class UdpStream(ByteStream):
    """MPEG-TS stream sent as UDP datagrams. Sending works even without a receiver."""

    def __init__(self, host: str, port: int, name: str, packet_size: int, ttl: int) -> None:
        super().__init__(name)
        self._size = packet_size
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

    def send(self, view: memoryview) -> int:
        """Send one datagram."""
        try:
            return self._socket.send(view[: self._size])
        except ConnectionRefusedError:  # There is no receiver at the moment.
            return min(len(view), self._size)
        except BlockingIOError:
            select.select([], [self._socket], [], _POLL_SECONDS)
            return 0

    def _free(self) -> None:
        self._socket.close()


class TcpStream(PipeStream):
    """A TCP connection.

    Args:
        host: Host name or IP address.
        port: Port of the host.
        name: Name of the destination in messages.
        seconds: Timeout for connecting to each of the host's addresses, in seconds.
    """

    def __init__(self, host: str, port: int, name: str, seconds: float) -> None:
        with socket.create_connection((host, port), seconds) as connected:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().__init__(connected.fileno(), name)


def open_udp(destination: Destination) -> UdpStream:
    """Open a UDP stream. "pkt_size" and "ttl" in the query of the URL work as in FFmpeg.

    Raises:
        OutputError: The query contains an unknown or invalid option.
    """
    url = destination.url
    options = {key: values[-1] for key, values in parse_qs(url.query).items()}
    unknown = ", ".join(sorted(options.keys() - {"pkt_size", "ttl"}))
    if unknown:
        raise OutputError(f"{destination.name}: no option {unknown}, only pkt_size and ttl")
    if not all(value.isdecimal() and int(value) > 0 for value in options.values()):
        raise OutputError(f"{destination.name}: pkt_size and ttl must be numbers above zero")
    assert url.hostname is not None and url.port is not None
    size, ttl = int(options.get("pkt_size", _DATAGRAM)), int(options.get("ttl", _TTL))
    return UdpStream(url.hostname, url.port, destination.name, size, ttl)
