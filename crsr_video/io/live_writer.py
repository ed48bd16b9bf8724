"""Write the result of a live source with low latency, and reconnect after a broken connection."""

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError, OutputError
from crsr_video.formatting import format_count
from crsr_video.io import pyav
from crsr_video.io.containers import PLAIN
from crsr_video.io.copied_streams import StreamTemplates
from crsr_video.io.destinations.address import parse_address
from crsr_video.io.destinations.byte_streams import ByteStream
from crsr_video.io.destinations.camera import VirtualCameraSession
from crsr_video.io.destinations.connecting import Connector
from crsr_video.io.feed import Feed
from crsr_video.io.live_plan import plan_live_output
from crsr_video.io.muxing import LiveMuxer
from crsr_video.io.output_file import check_output
from crsr_video.io.pace import FIRST_DELAY_SECONDS
from crsr_video.io.pictures import Fitter, own_picture
from crsr_video.io.raw_video import RawVideo
from crsr_video.io.session import OutputSession
from crsr_video.io.writer import OutputWriter
from crsr_video.types import Frame

_STALLED_SECONDS = 5.0
"""A network receiver that reads nothing for this long counts as gone."""
_STEADY_SECONDS = 10.0
"""If a connection lasted longer than this, reconnecting starts with the shortest delay."""


class LiveWriter(OutputWriter):
    """Writes the result of a live source with low latency.

    While a network is disconnected, frames are dropped and counted. Every new connection starts
    with headers and a keyframe. The first connection is attempted only once.

    Args:
        address: "-" for standard output, "camera:" with or without a name, a URL, or a path.
        feed: The source.
        settings: The user's choices.
        overwrite: Whether an existing file may be replaced.
        rate: Frames per second. Defaults to the rate that the source states.
        on_event: Called with a line about each later event, possibly from another thread.

    Raises:
        OutputError: The result cannot be written, or no connection is made in time.
        ReaderGoneError: The reader of standard output has closed it already.
    """

    def __init__(
        self,
        address: str,
        feed: Feed,
        settings: OutputSettings | None = None,
        *,
        overwrite: bool = False,
        rate: Fraction | None = None,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._feed, self._on_event = feed, on_event
        self._settings = settings or OutputSettings()
        destination = parse_address(address, self._settings.container)
        if destination.kind in ("file", "hls"):
            check_output(destination.path, None, overwrite)
        self._templates = StreamTemplates(feed.others, destination.container)
        super().__init__(
            plan_live_output(destination, feed, self._settings, rate, self._templates.notices)
        )
        self._fitter = Fitter(self.plan.shape)
        self._sample = self._picture(feed.first)
        self._connector: Connector | None = None
        self._retry_delay: float | None = None
        self._connected_at = 0.0
        self._missed = 0
        try:
            if destination.kind == "camera":
                self._session = VirtualCameraSession(self.plan)
            elif destination.is_network:
                self._connect()
            else:
                self._session = self._start(self._open_target(None, overwrite=overwrite))
        except BaseException:
            self._release(failed=True)
            raise

    def _start(self, target: ByteStream | Path) -> OutputSession:
        """Begin the stream on a new connection or file."""
        if self.plan.container in PLAIN:
            assert isinstance(target, ByteStream)
            return RawVideo(target, self.plan, self._drop_frame)
        return LiveMuxer(target, self.plan, self._sample, self._feed.first, self._templates)

    def _picture(self, frame: Frame) -> VideoFrame:
        return self._fitter.fit(own_picture(frame, self._feed.first), frame.sample_aspect)

    def change(self, feed: Feed) -> None:
        """Continue after the source has changed its size or format, or has been reconnected.

        Frames are fitted into the size of the result, and audio is copied if it has not changed.
        """
        with self._guard:
            old, new = self._feed.first, feed.first
            if (old.width, old.height, old.layout) != (new.width, new.height, new.layout):
                self._on_event(self._fitting_notice(new))
            for line in self._templates.change_source(feed.others):
                self._on_event(line)
            self._feed = feed

    def _fitting_notice(self, new: Frame) -> str:
        shape = self.plan.shape
        now = f"{new.width}x{new.height} {new.layout.name}"
        if (new.width, new.height, new.layout.name) == (*shape.size, shape.pixel_format):
            return f"the source has changed back to {now}"
        was = f"{shape.width}x{shape.height} {shape.pixel_format}"
        return f"the source has changed to {now}: its pictures are fitted into {was}"

    # Networks -----------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Current activity of the writer; see `OutputWriter.state`."""
        connector = self._connector
        return connector.state if connector is not None else super().state

    def _connect(self) -> None:
        """Make the first connection, which is attempted only once."""
        seconds = self._settings.connect_seconds
        connector = Connector(self.plan.destination, seconds)
        try:
            stream = connector.result(seconds + 1.0)
        finally:
            connector.stop()
        if stream is None:
            raise OutputError(f"{self.plan.name}: no answer within {seconds:g} s")
        self._use(stream)
        with pyav.translated(OutputError, f"{self.plan.name}: cannot be reached"):
            stream.wait_until_connected(seconds, threading.Event())

    def _use(self, stream: ByteStream) -> None:
        """Begin the stream on a new connection."""
        stream.patience = min(_STALLED_SECONDS, self._settings.connect_seconds)
        self._stream = stream
        self._session = self._start(stream)
        self._connected_at = time.monotonic()

    def _connected_session(self) -> OutputSession | None:
        """Return the current session. If a new connection has been made, begin a session on it."""
        connector = self._connector
        if connector is not None and (stream := connector.result()) is not None:
            self._retry_delay, self._connector = connector.delay, None
            self._use(stream)
            missed, self._missed = self._missed, 0
            self._on_event(f"{self.plan.name}: connected again after {_dropped(missed)}")
        return self._session

    def _drop_frame(self) -> None:
        self.dropped += 1
        self._missed += 1

    def _handle_break(self, error: OutputError) -> None:
        """Begin to reconnect if the destination is a network and the settings allow it."""
        reconnects = self.plan.destination.is_network and self._settings.reconnect
        is_cancelled = self._stream is not None and self._stream.closed
        if not reconnects or is_cancelled:
            raise error
        self._disconnect()
        self._drop_frame()
        self._on_event(f"{error}; connecting again")
        was_steady = time.monotonic() - self._connected_at > _STEADY_SECONDS
        delay = (
            FIRST_DELAY_SECONDS if was_steady or self._retry_delay is None else self._retry_delay
        )
        self._connector = Connector(
            self.plan.destination,
            self._settings.connect_seconds,
            retry_delay=delay,
            on_event=self._on_event,
        )

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        stream, self._stream = self._stream, None
        if session is not None:
            session.drop()
        if stream is not None:
            stream.release()

    # Ending -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish; see `OutputWriter.close`. A network error here becomes a notice.

        Raises:
            OutputError: The connection was lost earlier, and did not come back.
        """
        is_lost = self._connector is not None
        try:
            super().close()
        except EncoderError:
            raise
        except OutputError as error:
            if not self.plan.destination.is_network:
                raise
            self._on_event(str(error))
        if is_lost:
            raise OutputError(
                f"{self.plan.name}: the connection was lost and did not come back: "
                f"it ends with {_dropped(self._missed)}"
            )

    def _finish(self) -> None:
        if self._connector is None:
            super()._finish()

    def _release(self, *, failed: bool) -> None:
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.stop()
        super()._release(failed=failed)


def _dropped(count: int) -> str:
    return format_count(count, "dropped frame")
