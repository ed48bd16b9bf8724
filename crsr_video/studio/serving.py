"""The web server of the studio and of the live preview."""

import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn
from fastapi import FastAPI

from crsr_video.errors import OutputError
from crsr_video.studio.connections import LimitedRequests

LOOPBACK = "127.0.0.1"
_CLOSING_SECONDS = 2
_MAX_MESSAGE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class PageAddress:
    """Address at which a page is served, and the token that gives access to it.

    Attributes:
        listener: The listening socket.
        address: Address of the page, with the token.
        token: The secret token.
        hosts: Values of the header `Host` by which the page may be addressed.
    """

    listener: socket.socket
    address: str
    token: str
    hosts: frozenset[str]


def listen(host: str = LOOPBACK, port: int = 0) -> PageAddress:
    """Listen on a port of this machine. Port 0 stands for any free one.

    Raises:
        OutputError: The port is taken or may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise OutputError(f"port {port} of {host} cannot be used: {error}") from error
    number = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    shown = f"[{host}]" if ":" in host else host
    names = {shown, LOOPBACK, "localhost", "[::1]"}
    return PageAddress(
        listener,
        f"http://{shown}:{number}/?token={token}",
        token,
        frozenset(f"{name}:{number}" for name in names),
    )


class PageServer(uvicorn.Server):
    """Serves an application until it is told to stop. In the main thread, a signal stops it too.

    Args:
        app: The application.
        place: The place at which it is served.
        on_exit: Called in another thread when the server is to stop. It has to end everything that
            would keep connections open.
    """

    def __init__(
        self, app: FastAPI, place: PageAddress, *, on_exit: Callable[[], None] = lambda: None
    ) -> None:
        self._place, self._on_exit = place, on_exit
        super().__init__(
            uvicorn.Config(
                app,
                http=LimitedRequests,
                log_level="error",
                timeout_graceful_shutdown=_CLOSING_SECONDS,
                ws_max_size=_MAX_MESSAGE_BYTES,
            )
        )

    def serve_here(self) -> None:
        """Serve in this thread until the server is told to stop."""
        self.run(sockets=[self._place.listener])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop because of a signal."""
        threading.Thread(target=self._on_exit, daemon=True).start()
        super().handle_exit(sig, frame)
