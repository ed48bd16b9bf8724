"""Server-sent events: messages that the page receives without polling."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

_QUEUE_LENGTH = 100
_KEEP_ALIVE_SECONDS = 15.0


class Events:
    """Delivers messages to every page that listens. `publish` may be called from any thread."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[str | None]] = set()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def publish(self, name: str, data: Any) -> None:
        """Send a message to all listeners. A listener that is too slow loses its oldest message."""
        if self._loop is not None and not self._loop.is_closed():
            message = f"event: {name}\ndata: {json.dumps(data)}\n\n"
            self._loop.call_soon_threadsafe(self._deliver, message)

    def close(self) -> None:
        """End all streams, so that the server can stop. May be called from any thread."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, None)

    async def stream(self, first: list[tuple[str, Any]]) -> AsyncIterator[str]:
        """Yield messages in the format of server-sent events, until the listener goes away.

        Args:
            first: Names and data of the messages that describe the present state.
        """
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUE_LENGTH)
        self._listeners.add(queue)
        try:
            for name, data in first:
                yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
            while not self._closed:
                try:
                    message = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    message = ": still here\n\n"
                if message is not None:
                    yield message
        finally:
            self._listeners.discard(queue)

    def _deliver(self, message: str | None) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)
