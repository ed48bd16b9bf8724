"""Exchange messages with a page over a WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

from fastapi import WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from crsr_video.errors import CrsrError
from crsr_video.studio.library import LibraryError

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
