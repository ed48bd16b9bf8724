"""The web server of the studio and of the live preview, and who may use it.

Only a browser that has opened the address with the token may.
"""

import asyncio
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import SimpleCookie
from types import FrameType
from urllib.parse import parse_qs, urlsplit

import h11
import uvicorn
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from crsr_video.errors import OutputError

COOKIE = "crsr_studio"


class AccessControl:
    """ASGI middleware that checks the cookie, `Host` and `Origin` of every request.

    The address of the first visit contains the token (``/?token=...``). The response sets a cookie
    and redirects to the same address without the token. Checking `Host` keeps other names from
    being resolved to this machine (DNS rebinding); checking `Origin` keeps other pages out.

    Args:
        app: The application to protect.
        token: The secret token.
        hosts: Accepted values of `Host`, such as "127.0.0.1:8321".
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str]) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        offered = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not self._is_expected_address(headers):
            await self._refuse(scope, receive, send, "the studio was addressed by an unknown name")
        elif scope["type"] == "http" and scope["path"] == "/" and self._is_token(offered):
            response = RedirectResponse("/", status_code=303)
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            await response(scope, receive, send)
        elif self._is_token(_cookie(headers)):
            await self._app(scope, receive, send)
        else:
            await self._refuse(
                scope,
                receive,
                send,
                "open the address that crsr-video studio printed; it holds the key to this page",
            )

    def _is_token(self, value: str) -> bool:
        return secrets.compare_digest(value.encode(), self._token.encode())

    def _is_expected_address(self, headers: Headers) -> bool:
        if headers.get("host", "") not in self._hosts:
            return False
        origin = headers.get("origin")
        return origin is None or urlsplit(origin).netloc in self._hosts

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403, "reason": reason})
            return
        await PlainTextResponse(reason, status_code=403)(scope, receive, send)


def _cookie(headers: Headers) -> str:
    found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    return found.value if found is not None else ""


REQUEST_SECONDS = 10.0
"""Time in which a client must send the first line and the headers of a request."""


class LimitedRequests(H11Protocol):
    """A connection that is closed if the headers of a request do not arrive in time.

    The time counts from the opening of the connection, or from the beginning of a later request.
    Without this limit, other users of this machine could open connections that send a byte now and
    then, until the process has no file descriptors left.
    """

    _timer: asyncio.TimerHandle | None = None

    # uvicorn narrows the type of the argument too.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Start the clock at the beginning of a request, and stop it after its headers."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._timer is None:
            self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._timer = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


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
