"""A connection: messages in, messages out, nothing lost and nothing waited for without end."""

import os
import socket
import struct
import time
from contextlib import suppress

from crsr_video.closing import Closing
from crsr_video.errors import ProtocolError, ServerError
from crsr_video.server.memory import descriptors
from crsr_video.server.wire import HEADER, Header, Kind, pack

_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_ROOM = socket.CMSG_SPACE(4) if hasattr(socket, "CMSG_SPACE") else 0


class Channel(Closing):
    """One end of a connection.

    Args: link: a connected stream socket, which is closed with this.
          patience: seconds that the rest of a message may take, once it has begun.
    """

    def __init__(self, link: socket.socket, patience: float) -> None:
        self._link, self._patience = link, patience
        self._descriptors: list[int] = []

    def receive(self, wait: float | None) -> tuple[Header, bytes, list[int]] | None:
        """The next message: header, payload, and the descriptors that came with it.

        Args:    wait: seconds for it to begin; None: without end.
        Returns: None: the other end has closed.
        Raises:  ProtocolError, VersionError: what comes is no message.
                 TimeoutError, OSError.
        """
        head = self._read(HEADER.size, wait)
        if head is None:
            return None
        header = Header.unpack(head)
        payload = self._read(header.length, self._patience) if header.length else b""
        if payload is None:
            raise ProtocolError("a message was cut off")
        found, self._descriptors = self._descriptors, []
        return header, payload, found

    def send(self, kind: Kind, sequence: int, payload: bytes, *, descriptor: int = -1) -> None:
        """Send a message.

        Raises: TimeoutError: the other end does not read. OSError.
        """
        self._link.settimeout(self._patience)
        data = pack(kind, sequence, payload)
        if descriptor >= 0:
            data = data[socket.send_fds(self._link, [data], [descriptor]) :]
        self._link.sendall(data)

    def hang_up(self) -> None:
        """End the connection from another thread: who receives is told at once."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def peer(self) -> int:
        """User id of the other end.

        Raises: ServerError: this system does not tell.
        """
        if not hasattr(socket, "SO_PEERCRED"):
            raise ServerError("this system does not tell who is at the other end of a socket")
        size = struct.calcsize("3i")
        data = self._link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return int(struct.unpack("3i", data)[1])

    def close(self) -> None:
        """End the connection."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []
        self._link.close()

    def _read(self, size: int, wait: float | None) -> bytes | None:
        """So many bytes; None: the other end closed before the first."""
        data = b""
        end = None if wait is None else time.monotonic() + wait
        while len(data) < size:
            self._link.settimeout(None if end is None else max(0.001, end - time.monotonic()))
            part, ancillary, flags, _ = self._link.recvmsg(size - len(data), _ROOM, _CLOEXEC)
            self._descriptors += descriptors(ancillary)
            if flags & socket.MSG_CTRUNC or len(self._descriptors) > 1:
                raise ProtocolError("more than one descriptor came with a message")
            if not part:
                if data:
                    raise ProtocolError("a message was cut off")
                return None
            data += part
            if end is None or wait != self._patience:
                # Once begun, it has to go on.
                end, wait = time.monotonic() + self._patience, self._patience
        return data
