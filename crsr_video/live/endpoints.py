"""Interfaces of the source and the sink of a live run."""

from collections.abc import Iterator
from typing import Protocol

from crsr_video.io.feed import Arrival, Feed
from crsr_video.runner import FrameWriter


class LiveSource(Protocol):
    """Interface that a live run needs from a reader."""

    @property
    def state(self) -> str:
        """Activity of the reader, for messages."""
        ...

    def __iter__(self) -> Iterator[Arrival]:
        """Yield everything that arrives, until the source ends."""
        ...

    def interrupt(self) -> None:
        """End the iteration soon. Any thread may call this."""
        ...


class LiveSink(FrameWriter, Protocol):
    """Interface that a live run needs from a writer."""

    @property
    def state(self) -> str:
        """Activity of the writer, for messages."""
        ...

    def change(self, feed: Feed) -> None:
        """Adapt to a feed with another picture format or other streams."""
        ...

    def close(self) -> None:
        """Finish the output."""
        ...

    def abort(self) -> None:
        """Stop at once. Another thread may call this while `push` waits."""
        ...
