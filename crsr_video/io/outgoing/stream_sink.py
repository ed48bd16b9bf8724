"""A sink with one beginning and one end: standard output, or an HLS folder."""

from pathlib import Path

from crsr_video.errors import OutputError
from crsr_video.io.feed import Feed
from crsr_video.io.outgoing.address import Target
from crsr_video.io.outgoing.encoding_sink import EncodingSink, Tell
from crsr_video.io.outgoing.planning import SinkPlan
from crsr_video.io.outgoing.standard_output import StandardOutput
from crsr_video.io.outgoing.wire import Wire
from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame

_FLUSHING_SECONDS = 5.0
"""How long a reader may take for the last bytes."""


class StreamSink(EncodingSink):
    """Writes one stream into a wire, or lets FFmpeg write a file or a folder."""

    def __init__(self, target: Target, plan: SinkPlan, feed: Feed, on_event: Tell) -> None:
        """Begin the stream.

        Raises: OutputError: it cannot be written. ReaderGoneError: nobody reads it.
        """
        super().__init__(target, plan, feed, on_event)
        self._wire: Wire | None = None
        self._frames = 0
        try:
            self._writing = self._start(self._open())
        except BaseException:
            self._let_go(failed=True)
            raise

    def _open(self) -> Wire | Path:
        if self._target.kind == "stdout":
            planes = sum(c.nbytes for c in self._feed.first.components)
            self._wire = StandardOutput(room=max(planes, 1 << 16))
            return self._wire
        return Path(self._target.address)

    def push(self, frame: Frame) -> None:
        """Write a frame."""
        with self._guard:
            if self._done:
                raise OutputError(f"{self._target.name}: is closed")
            self._act = "encoding"
            try:
                self._writing.push(self._picture(frame), frame)
            finally:
                self._act = "idle"
            self._frames += 1

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet."""
        with self._guard:
            if self._done:
                raise OutputError(f"{self._target.name}: is closed")
            self._writing.push_packet(item)

    def _cut(self) -> None:
        if self._wire is not None:
            self._wire.cut()

    def close(self) -> None:
        """Finish."""
        in_time = self._acquire_end()
        try:
            if self._done:
                return
            self._done, self._act = True, "writing"
            try:
                if in_time:
                    self._finish()
                else:
                    self._writing.drop()
            except BaseException:
                self._let_go(failed=True)
                raise
            self._let_go(failed=not in_time)
        finally:
            self._act = "idle"
            self._guard.release()

    def _finish(self) -> None:
        if self._wire is not None:
            self._wire.patience = _FLUSHING_SECONDS
        self._writing.finish()

    def abort(self) -> None:
        """Give up."""
        self._cut()
        with self._guard:
            if not self._done:
                self._done = True
                self._let_go(failed=True)

    def _let_go(self, *, failed: bool) -> None:
        """Free everything."""
        if failed and hasattr(self, "_writing"):
            self._writing.drop()
        if self._wire is not None:
            self._wire.release()
