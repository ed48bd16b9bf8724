"""The page of ``crsr-video live --preview``.

It shows frames before and after enhancement and statistics, and it sets the strength. Pictures are
made only while a page shows them, and only as often as `MAX_RATE` and `CPU_SHARE` allow.
"""

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import cv2
from fastapi import FastAPI, WebSocket
from fastapi.responses import HTMLResponse

from crsr_video._version import __version__
from crsr_video.closing import Closing
from crsr_video.errors import ConfigError
from crsr_video.studio.app import protected_app, static_page
from crsr_video.studio.pictures import packet_of
from crsr_video.studio.serving import PageServer, listen
from crsr_video.studio.sockets import Send, converse, upright_width
from crsr_video.types import Frame, TrackedFrame

MAX_WIDTH = 960
"""Width in pixels to which larger pictures are reduced."""
MAX_RATE = 15
"""Maximum number of pictures per second."""
CPU_SHARE = 0.15
"""Maximum share of one processor core for making pictures."""
MAX_PAGES = 4
"""Maximum number of pages that are open at the same time."""
_STARTING_SECONDS = 10.0


class LivePage(Closing):
    """Serves the page of a live run until it is closed.

    Args:
        port: Port on this machine, or 0 for any free one.
        strength: Initial share of the correction that is applied, from 0 to 1.

    Raises:
        OutputError: The port is in use, or its use is not permitted.
    """

    def __init__(self, port: int = 0, *, strength: float = 1.0) -> None:
        self.strength = strength
        """Share of the correction that is applied, from 0 to 1. Pages may change it."""
        place = listen(port=port)
        self.address = place.address
        """Address of the page."""
        self._sessions: list[_Session] = []
        self._statistics: str | None = None
        self._pair: tuple[Frame, Frame] | None = None
        self._next_time = 0.0
        self._changed = threading.Condition()
        self._is_closed = False
        app = protected_app("crsr-video live", token=place.token, hosts=place.hosts)
        self._add_routes(app)
        self._server = PageServer(app, place)
        self._threads = [
            threading.Thread(target=run, name="live-page", daemon=True)
            for run in (self._server.serve_here, self._make_pictures)
        ]
        for thread in self._threads:
            thread.start()

    def show(self, item: TrackedFrame, after: Frame) -> None:
        """Show a finished frame if a page is ready and the next picture is due. Never blocks."""
        if self._pair is not None or time.monotonic() < self._next_time or not self.is_watched:
            return
        with self._changed:
            self._pair = item.frame, after
            self._changed.notify()

    def show_statistics(self, statistics: Mapping[str, Any]) -> None:
        """Show statistics: plain values, as `LiveStatistics.as_json` returns them."""
        self._statistics = json.dumps({"statistics": statistics}, default=str)
        self._send(self._statistics)

    @property
    def is_watched(self) -> bool:
        """Whether any page is ready for another picture."""
        return any(session.has_room for session in self._sessions)

    def close(self) -> None:
        """Tell the pages that the stream has ended, and stop serving. May be called twice."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.notify()
        self._send(json.dumps({"ended": True}))
        end = time.monotonic() + _STARTING_SECONDS
        while not self._server.started and time.monotonic() < end:
            time.sleep(0.01)
        self._server.should_exit = True
        for thread in self._threads:
            thread.join()

    def _add_routes(self, app: FastAPI) -> None:
        @app.get("/", include_in_schema=False)
        async def page() -> HTMLResponse:
            return static_page("live.html")

        @app.get("/api/options")
        async def options() -> dict[str, Any]:
            """Return the strength at which faces are enhanced."""
            return {"strength": self.strength, "version": __version__}

        @app.websocket("/api/live")
        async def follow(socket: WebSocket) -> None:
            """Send packets of frames, and statistics as JSON.

            Messages to the server: ``{"command": "shown", "number"}`` says that the packet of that
            number is on the screen; ``{"command": "strength", "strength"}`` changes the strength.
            """
            await converse(socket, self._begin)

    def _begin(self, send: Send) -> "_Session":
        if len(self._sessions) >= MAX_PAGES:
            raise ConfigError(f"{MAX_PAGES} pages show this stream already: close one of them")
        session = _Session(self, send)
        self._sessions.append(session)
        if self._statistics is not None:
            send(self._statistics)
        return session

    def leave(self, session: "_Session") -> None:
        """Remove the session of a page that was closed."""
        self._sessions.remove(session)

    def _send(self, message: str) -> None:
        for session in list(self._sessions):
            session.send(message)

    def _make_pictures(self) -> None:
        number = 0
        while (pair := self._next_pair()) is not None:
            began, spent = time.monotonic(), time.thread_time()
            number += 1
            packet = _packet(number, *pair)
            if packet is not None:
                for session in [session for session in self._sessions if session.has_room]:
                    session.sent = number
                    session.send(packet)
            spent = time.thread_time() - spent
            self._next_time = began + max(1 / MAX_RATE, spent / CPU_SHARE)
            self._pair = pair = None

    def _next_pair(self) -> tuple[Frame, Frame] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._pair is not None)
            return None if self._is_closed else self._pair


class _Session:
    """The connection to one open page."""

    def __init__(self, page: LivePage, send: Send) -> None:
        self._page, self.send = page, send
        self.sent = self._shown = 0

    @property
    def has_room(self) -> bool:
        """Whether the page has shown the last picture that was sent to it."""
        return self._shown >= self.sent

    def receive(self, message: dict[str, Any] | bytes) -> None:
        """Handle a message from the page."""
        if not isinstance(message, dict):
            raise ConfigError("the preview of a stream takes no pictures")
        try:
            if message.get("command") == "shown":
                self._shown = int(message.get("number", 0))
            elif message.get("command") == "strength":
                self._page.strength = min(1.0, max(0.0, float(message["strength"])))
        except (KeyError, TypeError, ValueError):
            raise ConfigError("a message to the preview has a wrong value") from None

    def close(self) -> None:
        """Remove this session from the live page."""
        self._page.leave(self)


def _packet(number: int, before: Frame, after: Frame) -> bytes | None:
    header = {"number": number, "at": before.seconds, "width": upright_width(before), "faces": []}
    try:
        return packet_of(header, before, after, MAX_WIDTH)
    except (cv2.error, ValueError, ArithmeticError):
        return None  # A picture that cannot be encoded must not end the run.
