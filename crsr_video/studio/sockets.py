"""Exchange messages with a page over a WebSocket, and send it no more frames than it shows."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

from fastapi import WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from crsr_video.errors import CrsrError
from crsr_video.io.pyav import Passthrough
from crsr_video.io.source import Source
from crsr_video.stages.quality import LiveQuality
from crsr_video.studio.library import LibraryError
from crsr_video.studio.pictures import face_facts, packet_of
from crsr_video.types import Frame, TrackedFrame

Send = Callable[[bytes | str], None]
"""Sends a message to a page; may be called from any thread."""


class PageSession(Protocol):
    """Handles the messages of one page."""

    def receive(self, message: dict[str, Any] | bytes) -> None:
        """Handle a message from the page."""
        ...

    def close(self) -> None:
        """Free all resources."""
        ...


async def converse(socket: WebSocket, begin: Callable[[Send], PageSession]) -> None:
    """Pass messages from a page to a session until the page goes away or the session fails.

    Args:
        socket: The connection, which has not been accepted yet.
        begin: Returns the session. Like all its methods, it is called in another thread.
    """
    await socket.accept()
    session = None
    try:
        async with _sending(socket) as send:
            session = await run_in_threadpool(begin, send)
            async for message in _messages(socket):
                await run_in_threadpool(session.receive, message)
    except CrsrError as error:
        await _say(socket, {"error": str(error)})
    finally:
        if session is not None:
            await run_in_threadpool(session.close)


async def _messages(socket: WebSocket) -> AsyncIterator[dict[str, Any] | bytes]:
    """Yield what the page sends, until it goes away. Text that is not JSON ends the connection."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if (data := message.get("bytes")) is not None:
            yield data
            continue
        try:
            found = json.loads(message.get("text") or "")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise LibraryError("a message is not a JSON object")
        yield found


@asynccontextmanager
async def _sending(socket: WebSocket) -> AsyncIterator[Callable[[bytes | str], None]]:
    """Yield a function that sends a message from any thread, in order."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | str] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            message = await queue.get()
            try:
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                else:
                    await socket.send_text(message)
            except (WebSocketDisconnect, RuntimeError):
                return

    def send(message: bytes | str) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, message)

    task = asyncio.create_task(deliver())
    try:
        yield send
    finally:
        task.cancel()


async def _say(socket: WebSocket, message: dict[str, Any]) -> None:
    try:
        await socket.send_text(json.dumps(message))
        await socket.close()
    except (WebSocketDisconnect, RuntimeError):
        return


_MAX_UNSHOWN = 3
"""Maximum number of packets that a page has been sent and has not shown yet."""
_RATE_WINDOW = 30
"""Frames over which the frame rate is averaged."""


class PageSender:
    """Output of a live run that sends each frame to one page, before and after enhancement.

    Args:
        send: Sends a message to the page.
        width: Largest width of the pictures in pixels.
        quality: Quality of the run, which the page shows.
        start: Seconds of the source at which the run begins.
        person_of: Number of the person by track ID.
        number: Number of the last packet that the page received from an earlier run.
    """

    state = "sending"

    def __init__(
        self,
        send: Send,
        *,
        width: int,
        quality: LiveQuality,
        start: float = 0.0,
        person_of: dict[int, int] | None = None,
        number: int = 0,
    ) -> None:
        self.width = width
        self._send, self._quality, self._start = send, quality, start
        self._person_of = person_of or {}
        self.number = self._shown = number
        self._seen: dict[int, TrackedFrame] = {}
        self._times: deque[float] = deque(maxlen=_RATE_WINDOW)

    @property
    def has_room(self) -> bool:
        """Whether the page can take another packet."""
        return self.number - self._shown < _MAX_UNSHOWN

    def acknowledge(self, number: int) -> None:
        """Record that the page has shown a packet."""
        self._shown = max(self._shown, number)

    def observe(self, item: TrackedFrame, _: Frame) -> None:
        """Store a frame with its faces, until `push` is called with the finished frame."""
        self._seen[item.frame.pts] = item

    def push(self, frame: Frame) -> None:
        """Send a finished frame, or drop it if the page cannot take another packet."""
        item = self._seen.pop(frame.pts, None) or TrackedFrame(frame)
        if not self.has_room:
            return
        before = item.frame.interlaced_frame or item.frame
        self.number += 1
        self._times.append(time.monotonic())
        header: dict[str, Any] = {
            "at": self._start + before.seconds,
            "number": self.number,
            "width": upright_width(before),
            "fps": self._rate(),
            "quality": self._quality.level.name,
            "reduced": self._quality.index > 0,
            "faces": [face_facts(face, before, self._person_of) for face in item.faces],
        }
        self._send(packet_of(header, before, frame, self.width))

    def push_packet(self, item: Passthrough) -> None:
        """Ignore packets of other streams, because the page plays no sound."""

    def change(self, source: Source) -> None:
        """Do nothing, because every packet contains the size of its pictures."""

    def close(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing, because sending never blocks."""

    def _rate(self) -> float:
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(1e-6, self._times[-1] - self._times[0])


def upright_width(frame: Frame) -> int:
    """Return the width of an upright frame with square pixels."""
    if frame.rotation % 180:
        return round(frame.height / min(float(frame.sample_aspect), 1.0))
    return round(frame.width * max(float(frame.sample_aspect), 1.0))
