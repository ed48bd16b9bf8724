"""What every sink of a live run offers."""

from abc import abstractmethod

from crsr_video.closing import Closing
from crsr_video.io.feed import Feed
from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame


class Sink(Closing):
    """Takes frames in order of time, and writes each before it takes the next.

    One thread at a time pushes; `close` and `abort` may come from any other one, and end a push
    that waits for a slow reader within half a second.
    """

    notices: tuple[str, ...] = ()
    """What cannot be carried, and what is converted, in words."""
    dropped: int = 0
    """Frames that came while nobody was connected, or that a steady rate had no place for."""

    @property
    @abstractmethod
    def state(self) -> str:
        """What it does: "idle", "encoding", "writing", "connecting", "waiting to reconnect"."""

    @abstractmethod
    def push(self, frame: Frame) -> None:
        """Write one frame; waits while a reader is slow.

        Raises: ReaderGoneError: the reader has gone away, and that is no fault.
                OutputError: it cannot be written.
        """

    @abstractmethod
    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet of another stream; ignored where the sink holds no such stream.

        Video waits for sound of its own time or later (containers want both in order), for a frame
        at most: to lose no time, push sound as soon as it is there, ahead of its frame.
        Raises: as `push`.
        """

    @abstractmethod
    def change(self, feed: Feed) -> None:
        """The source has another size or format now, or was connected to anew.

        Raises: as `push`.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what is left and finish properly; may be called twice.

        Raises: as `push`; nothing is left half-written under its final name.
        """

    @abstractmethod
    def abort(self) -> None:
        """Give up at once. Does nothing after `close`."""
