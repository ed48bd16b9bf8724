"""A live file, which appears under its name when it is whole."""

from contextlib import suppress
from pathlib import Path
from typing import IO

from crsr_video.errors import OutputError
from crsr_video.io import pyav
from crsr_video.io.feed import Feed
from crsr_video.io.lock import NameLock
from crsr_video.io.outgoing.address import PLAIN, Target
from crsr_video.io.outgoing.encoding_sink import Tell
from crsr_video.io.outgoing.planning import SinkPlan
from crsr_video.io.outgoing.stream_sink import StreamSink
from crsr_video.io.outgoing.wire import FileWire, Wire
from crsr_video.io.output_file import claim, publish, remove_leftovers, temporary_name


class FileSink(StreamSink):
    """A file, which appears under its name when it is whole."""

    def __init__(self, target: Target, plan: SinkPlan, feed: Feed, on_event: Tell) -> None:
        """Begin under a hidden name.

        Raises: OutputError: it cannot be written, or another run is writing it.
        """
        self._path = Path(target.address)
        self._lock = NameLock(self._path)
        remove_leftovers(self._path)
        self._temporary = temporary_name(self._path)
        self._claim: IO[bytes] | None = None
        super().__init__(target, plan, feed, on_event)

    def _open(self) -> Wire | Path:
        with pyav.translated(OutputError, f"{self._path}: cannot be written"):
            self._lock.take()
            self._claim = claim(self._temporary)
            if self._plan.container in PLAIN:
                self._wire = FileWire(self._temporary)
                return self._wire
        return self._temporary

    def _finish(self) -> None:
        if not self._frames:
            raise OutputError(f"{self._path}: not written, for no frame came")
        super()._finish()
        with pyav.translated(OutputError, f"{self._path}: cannot be written"):
            if self._wire is not None:
                self._wire.release()
            publish(self._temporary, self._path)

    def _let_go(self, *, failed: bool) -> None:
        super()._let_go(failed=failed)
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)
        if self._claim is not None:
            self._claim.close()
        self._lock.release()
