"""The preview's web server: a page, pictures and figures, to this machine only.

It answers GET only, reads no files but its own page, and looks at the Host header, so that no page
of another site can reach it by a name that suddenly means this machine (DNS rebinding).
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

from crsr_video.closing import Closing
from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.live.preview.board import Board, Sheet

HOST = "127.0.0.1"
MAX_WATCHERS = 4
"""Requests for pictures at a time; a page has one."""
MAX_CONNECTIONS = 24
"""Of all kinds, at a time."""

_WAIT_SECONDS = 2.0
"""A request is answered after so long even if there is nothing new."""
_PATIENCE = 5.0
"""Seconds for a client to send its request, or to take its answer."""
_GRACE_SECONDS = 0.3
_PAGES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Web(Closing):
    """Serves a board from threads of its own.

    Raises: OutputError: the port is taken or may not be used.
    """

    def __init__(self, port: int, board: Board) -> None:
        try:
            self._server = _Server(port, board)
        except (OSError, OverflowError) as error:
            why = pyav.reason(error)
            raise OutputError(f"preview: port {port} cannot be served: {why}") from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="preview-web", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Drop everybody and join all threads; may be called twice."""
        self._server.shutdown()
        self._thread.join()
        self._server.drop()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # So that closing waits for them.
    allow_reuse_address = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, port: int, board: Board) -> None:
        self.board = board
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._watchers = 0
        super().__init__((HOST, port), _Handler)
        self.names = {f"{name}:{self.server_address[1]}" for name in (HOST, "localhost")}
        if self.server_address[1] == 80:
            self.names |= {HOST, "localhost"}

    def server_bind(self) -> None:
        """Bind, without asking the network for this machine's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, unless there are too many."""
        with self._lock:
            full = len(self._clients) >= MAX_CONNECTIONS
            if not full:
                self._clients.add(request)
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection has ended."""
        with self._lock:
            self._clients.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients come and go; that is no error of the run."""

    @contextmanager
    def watching(self) -> Iterator[bool]:
        """Count somebody who wants a picture; whether there is room."""
        with self._lock:
            room = self._watchers < MAX_WATCHERS
            self._watchers += room
        try:
            yield room
        finally:
            with self._lock:
                self._watchers -= room

    def drop(self) -> None:
        """Cut all connections, so that their threads end; who is being answered gets a moment."""
        end = time.monotonic() + _GRACE_SECONDS
        while self._clients and time.monotonic() < end:
            time.sleep(0.01)
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE
    server_version, sys_version = "crsr-video", ""

    def do_GET(self) -> None:
        """Answer."""
        if self.headers.get("Host", "").lower() not in self.server.names:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST)
            return
        address = urlsplit(self.path)
        if address.path in _PAGES:
            name, kind = _PAGES[address.path]
            self._answer(HTTPStatus.OK, _part(name), kind)
        elif address.path == "/picture":
            self._picture(_after(address.query))
        elif address.path == "/figures":
            sheet = self.server.board.figures(_after(address.query), _WAIT_SECONDS)
            self._sheet(sheet, "application/json")
        else:
            self._answer(HTTPStatus.NOT_FOUND)

    def _picture(self, after: int) -> None:
        with self.server.watching() as room:
            if not room:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE)
                return
            sheet = self.server.board.picture(after, _WAIT_SECONDS)
            self._sheet(sheet, "application/octet-stream")

    def _sheet(self, sheet: Sheet | None, kind: str) -> None:
        """What hangs on the board, or that there is nothing new, or never will be."""
        if sheet is not None:
            self._answer(
                HTTPStatus.OK,
                sheet.data,
                kind,
                {"X-Number": str(sheet.number), "X-Split": str(sheet.split)},
            )
        elif self.server.board.ended:
            self._answer(HTTPStatus.GONE)
        else:
            self._answer(HTTPStatus.NO_CONTENT)

    def _answer(
        self,
        status: HTTPStatus,
        data: bytes = b"",
        kind: str = "text/plain; charset=utf-8",
        more: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (_HEADERS | (more or {})).items():
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing: standard error belongs to the run."""


def _after(query: str) -> int:
    """The number of what a page has already; 0: nothing."""
    text = parse_qs(query).get("after", ["0"])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


@cache
def _part(name: str) -> bytes:
    return resources.files("crsr_video.live.preview").joinpath(name).read_bytes()
