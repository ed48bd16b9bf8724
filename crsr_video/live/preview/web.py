"""The preview's web server: a page, pictures and statistics, for this machine only.

It answers GET only, reads no files but those of its page, and checks the Host header, so that no
page of another site can reach it under a name that suddenly means this machine (DNS rebinding).
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

from crsr_video.closing import Closing
from crsr_video.errors import OutputError
from crsr_video.io import pyav

HOST = "127.0.0.1"
MAX_WATCHERS = 4
"""Simultaneous requests for pictures. A page sends one at a time."""
MAX_CONNECTIONS = 24
"""Simultaneous connections of all kinds. If there are more, the oldest one whose request is not
complete is closed: a page sends its request at once."""

_STALE_SECONDS = 1.0
"""An older picture is shown only if no newer one comes."""
_WAIT_SECONDS = 2.0
"""A request is answered after this time even if there is nothing new."""
_REQUEST_SECONDS = 5.0
"""Time in which a client must send its whole request, or read the answer."""
_GRACE_SECONDS = 0.3
"""Time that answers in progress have when the server is closed."""
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


@dataclass(frozen=True, slots=True)
class Post:
    """A picture or statistics on the board.

    Attributes:
        number: Increases with every post.
        data: Content.
        at: `time.monotonic` of the post.
        split: Position in a picture's data at which its second half begins.
    """

    number: int
    data: bytes
    at: float
    split: int = 0


_NOTHING = Post(0, b"", 0.0)


class Board:
    """The latest picture and statistics, between threads that make and threads that serve them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._picture = self._statistics = _NOTHING
        self._waiting = 0
        self.has_ended = False
        """Whether nothing new will come."""

    @property
    def is_watched(self) -> bool:
        """Whether somebody waits for a picture at this moment. This takes no lock."""
        return self._waiting > 0

    def post_picture(self, before: bytes, after: bytes) -> None:
        """Post a picture in two halves that belong together."""
        with self._changed:
            self._picture = _next(self._picture, before + after, len(before))
            self._changed.notify_all()

    def post_statistics(self, data: bytes) -> None:
        """Post statistics."""
        with self._changed:
            self._statistics = _next(self._statistics, data)
            self._changed.notify_all()

    def end(self) -> None:
        """End the wait of everybody."""
        with self._changed:
            self.has_ended = True
            self._changed.notify_all()

    def picture(self, after: int, timeout_seconds: float) -> Post | None:
        """Return a picture with a number above `after`, or None if none comes in time."""

        def is_ready() -> bool:
            is_new = self._picture.number > after
            is_fresh = time.monotonic() - self._picture.at < _STALE_SECONDS
            return self.has_ended or (is_new and is_fresh)

        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(is_ready, timeout_seconds)
            finally:
                self._waiting -= 1
            return self._picture if self._picture.number > after else None

    def statistics(self, after: int, timeout_seconds: float) -> Post | None:
        """Return statistics with a number above `after`, or None if none come in time."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.has_ended or self._statistics.number > after, timeout_seconds
            )
            return self._statistics if self._statistics.number > after else None


def _next(previous: Post, data: bytes, split: int = 0) -> Post:
    return Post(previous.number + 1, data, time.monotonic(), split)


class WebServer(Closing):
    """Serves a board from threads of its own.

    Args:
        port: Port on the loopback interface, or 0 for any free one.
        board: What is served.

    Raises:
        OutputError: The port is taken or may not be used.
    """

    def __init__(self, port: int, board: Board) -> None:
        try:
            self._server = _Server(port, board)
        except (OSError, OverflowError) as error:
            reason = pyav.reason(error)
            raise OutputError(f"preview: port {port} cannot be served: {reason}") from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="preview-web", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Close all connections, and join all threads. May be called twice."""
        self._server.shutdown()
        self._thread.join()
        self._server.shut_down_connections()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # So that closing waits for them.
    allow_reuse_address = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, port: int, board: Board) -> None:
        self.board = board
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, float | None] = {}
        """Until when each connection must have sent its request; None once it has."""
        self._watchers = 0
        super().__init__((HOST, port), _Handler)
        self.names = {f"{name}:{self.server_address[1]}" for name in (HOST, "localhost")}
        if self.server_address[1] == 80:
            self.names |= {HOST, "localhost"}

    def server_bind(self) -> None:
        """Bind without asking the network for the name of this machine."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Accept a connection, at the cost of a slow one if there are too many."""
        with self._lock:
            is_full = len(self._clients) >= MAX_CONNECTIONS
            slow = [client for client, end in self._clients.items() if is_full and end is not None]
            if slow:
                del self._clients[slow[0]]
                _cut(slow[0])
            has_room = not is_full or bool(slow)
            if has_room:
                self._clients[request] = time.monotonic() + _REQUEST_SECONDS
        if has_room:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def request_was_read(self, request: socket.socket) -> None:
        """Take note that the whole request of a connection has come."""
        with self._lock:
            if request in self._clients:
                self._clients[request] = None

    def service_actions(self) -> None:
        """Cut connections whose request takes too long; `serve_forever` calls this often."""
        now = time.monotonic()
        with self._lock:
            for client, end in self._clients.items():
                if end is not None and end < now:
                    _cut(client)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of clients, which must not disturb the run."""

    @contextmanager
    def watching(self) -> Iterator[bool]:
        """Count a request for a picture, and yield whether there is room for it."""
        with self._lock:
            has_room = self._watchers < MAX_WATCHERS
            self._watchers += has_room
        try:
            yield has_room
        finally:
            with self._lock:
                self._watchers -= has_room

    def shut_down_connections(self) -> None:
        """End all connections and their threads, after a moment for answers in progress."""
        end = time.monotonic() + _GRACE_SECONDS
        while self._clients and time.monotonic() < end:
            time.sleep(0.01)
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            _cut(client)


def _cut(client: socket.socket) -> None:
    """End a connection; the thread that waits for it then ends too."""
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_SECONDS
    server_version, sys_version = "crsr-video", ""

    def do_GET(self) -> None:
        """Answer a request."""
        self.server.request_was_read(self.connection)
        if self.headers.get("Host", "").lower() not in self.server.names:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST)
            return
        address = urlsplit(self.path)
        if address.path in _PAGES:
            name, kind = _PAGES[address.path]
            self._answer(HTTPStatus.OK, _page_file(name), kind)
        elif address.path == "/picture":
            self._picture(_after(address.query))
        elif address.path == "/figures":
            post = self.server.board.statistics(_after(address.query), _WAIT_SECONDS)
            self._post(post, "application/json")
        else:
            self._answer(HTTPStatus.NOT_FOUND)

    def _picture(self, after: int) -> None:
        with self.server.watching() as has_room:
            if not has_room:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE)
                return
            post = self.server.board.picture(after, _WAIT_SECONDS)
            self._post(post, "application/octet-stream")

    def _post(self, post: Post | None, kind: str) -> None:
        """Send a post, or that there is nothing new, or that there never will be."""
        if post is not None:
            self._answer(
                HTTPStatus.OK,
                post.data,
                kind,
                {"X-Number": str(post.number), "X-Split": str(post.split)},
            )
        elif self.server.board.has_ended:
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
        """Log nothing, as standard error belongs to the run."""


def _after(query: str) -> int:
    """Return the number of the latest post that a page has, or 0."""
    text = parse_qs(query).get("after", ["0"])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


@cache
def _page_file(name: str) -> bytes:
    return resources.files("crsr_video.live.preview").joinpath(name).read_bytes()
