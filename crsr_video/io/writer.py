"""Write a video: frames through an encoder, all other streams unchanged.

There is one writer for all destinations. Files, pipes, virtual cameras and networks differ in where
the bytes go, and in what happens when the receiver is slow or gone; see `destinations`.

A file appears under its name only when it is complete: until then it grows beside it under a hidden
name, and is removed if anything goes wrong.
"""

import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame

from crsr_video.closing import Closing
from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError, OutputError
from crsr_video.io import pyav
from crsr_video.io.containers import PLAIN
from crsr_video.io.copied_streams import StreamTemplates
from crsr_video.io.destinations.address import parse_address
from crsr_video.io.destinations.byte_streams import ByteStream, FileStream, StandardOutput
from crsr_video.io.destinations.camera import CameraSession
from crsr_video.io.destinations.connecting import Connector
from crsr_video.io.encoders import RAW
from crsr_video.io.feed import Feed
from crsr_video.io.muxing import LiveMuxer, RecordedMuxer
from crsr_video.io.output_file import OutputFile, check_output
from crsr_video.io.output_plan import OutputPlan, plan_live_output, plan_output
from crsr_video.io.pictures import Fitter, own_picture, picture_of
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.raw_video import RawVideo
from crsr_video.io.reconnecting import FIRST_DELAY_SECONDS
from crsr_video.io.session import OutputSession
from crsr_video.io.source import Source
from crsr_video.types import Frame

_ENDING_SECONDS = 0.3
"""How long `close` waits for a push in another thread before it cancels it."""
_STALLED_SECONDS = 5.0
"""A network receiver that reads nothing for so long counts as gone."""
_FLUSHING_SECONDS = 5.0
"""How long a live receiver may take for the last bytes."""
_STEADY_SECONDS = 10.0
"""After a connection that held for so long, the first attempt to reconnect comes soon."""


class OutputWriter(Closing):
    """A result that is being written; `Writer` and `LiveWriter` open one.

    As a context manager, it aborts when it is left by an exception. One thread at a time pushes;
    `interrupt`, `close` and `abort` may be called from any thread.
    """

    plan: OutputPlan
    """Plan of what is written and what is lost."""
    dropped: int
    """Frames that came while a network was disconnected, or that a steady rate had no room for."""

    def __init__(self, plan: OutputPlan) -> None:
        self.plan, self.dropped = plan, 0
        self._guard = threading.RLock()
        self._frames = 0
        self._is_busy = self._is_done = False
        self._file: OutputFile | None = None
        self._stream: ByteStream | None = None
        self._session: OutputSession | None = None

    def __exit__(self, *failure: object) -> None:
        """Close, or abort after an exception."""
        if any(failure):
            self.abort()
        else:
            self.close()

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about what the result cannot hold and what was changed."""
        more = self._session.notices if self._session is not None else ()
        return (*dict.fromkeys(self.plan.notices), *more)

    @property
    def state(self) -> str:
        """Current activity of the writer.

        One of "idle", "encoding", "writing", "connecting" and "waiting to reconnect".
        """
        session = self._session
        return session.state if self._is_busy and session is not None else "idle"

    # Opening ------------------------------------------------------------------------------------

    def _open_target(
        self, source: Path | None, *, overwrite: bool, exclusive: bool = True
    ) -> ByteStream | Path:
        """Open standard output or a file, or name the path where FFmpeg writes a folder."""
        destination = self.plan.destination
        if destination.is_standard_output:
            self._stream = StandardOutput()
            return self._stream
        if not destination.is_file:
            return destination.path
        self._file = OutputFile(destination.path, source, overwrite=overwrite, exclusive=exclusive)
        if destination.container not in PLAIN:
            return self._file.temporary
        with pyav.translated(OutputError, f"{self.plan.name}: cannot be written"):
            self._stream = FileStream(self._file.temporary)
        return self._stream

    # Writing ------------------------------------------------------------------------------------

    def push(self, frame: Frame) -> None:
        """Write one frame, in presentation order; wait while a reader is slow.

        Raises:
            ReaderGoneError: The reader of standard output has closed it, which is not a fault.
            OutputError: The result cannot be written.
        """
        with self._guard, self._writing():
            session = self._connected_session()
            if session is None:
                self._drop_frame()
                return
            session.push(self._picture(frame), frame)
            self._frames += 1

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet of another stream; it is ignored where the result holds no such stream.

        Containers want all streams in order, so a live video waits for sound of its own time or
        later, for a frame at most: push sound ahead of its frame to lose no time.

        Raises:
            ReaderGoneError: As for `push`.
            OutputError: As for `push`.
        """
        with self._guard, self._writing():
            if self._session is not None:
                self._session.push_packet(item)

    @abstractmethod
    def _picture(self, frame: Frame) -> VideoFrame:
        """Return the picture to encode."""

    def _connected_session(self) -> OutputSession | None:
        """Return the session to write to, or None while there is no receiver."""
        return self._session

    def _drop_frame(self) -> None:
        self.dropped += 1

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._is_done:
            raise OutputError(f"{self.plan.name}: is closed")
        self._is_busy = True
        try:
            yield
        except EncoderError:
            raise
        except OutputError as error:
            if self._stream is not None:
                self._stream.check()
            self._handle_break(error)
        finally:
            self._is_busy = False

    def _handle_break(self, error: OutputError) -> None:
        """Handle a failure to write.

        Raises:
            OutputError: The failure ends the run.
        """
        raise error

    # Ending -------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Make a push that waits for a slow reader, in any thread, fail at once."""
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def close(self) -> None:
        """Write what is left, finish, and give a file its name. May be called twice.

        Raises:
            OutputError: The result could not be completed; nothing is left under its name.
        """
        in_time = self._guard.acquire(timeout=_ENDING_SECONDS)
        if not in_time:
            self.interrupt()
            self._guard.acquire()
        try:
            if not self._is_done:
                self._end(finish=in_time)
        finally:
            self._guard.release()

    def _end(self, *, finish: bool) -> None:
        """Finish if that is wanted and possible, and free all resources."""
        failed, self._is_busy = True, True
        try:
            if finish:
                self._finish()
                failed = False
        except OutputError:
            if self._stream is not None:
                self._stream.check()
            raise
        finally:
            self._is_busy = False
            self._release(failed=failed)

    def _finish(self) -> None:
        if not self._frames and (self._file is not None or not self.plan.is_live):
            raise OutputError(f"{self.plan.name}: not written, because there was no frame")
        if self._stream is not None and self.plan.is_live:
            self._stream.patience = _FLUSHING_SECONDS
        if self._session is not None:
            self._session.finish()
            if self._stream is not None:
                self._stream.finish()
        if self._file is not None:
            self._file.publish()

    def abort(self) -> None:
        """Stop at once; no file is left. Does nothing after `close`."""
        self.interrupt()
        with self._guard:
            if not self._is_done:
                self._release(failed=True)

    def _release(self, *, failed: bool) -> None:
        """Free all resources."""
        self._is_done = True
        if failed and self._session is not None:
            self._session.drop()
        if self._stream is not None:
            self._stream.release()
        if self._file is not None:
            self._file.release()


class Writer(OutputWriter):
    """Writes the result of a recorded source, and keeps all of its properties that it can.

    Args:
        output: Path of the result, by default beside the source; "-" is standard output.
        source: The opened source; see `Reader.source`.
        settings: The user's choices.
        scale: Size of the frames over the source's.
        overwrite: Whether an existing file may be replaced.
        threads: Threads of the encoder, 0 for its own choice.
        plan: A plan to follow instead of one for `output` and `settings`.
        exclusive: Whether other writers of the same file are locked out.

    Raises:
        OutputError: The file cannot be written, exists, is the source itself, or is being written
            by another run.
        EncoderError: The encoder does not exist or refuses the settings.
    """

    def __init__(
        self,
        output: str | Path | None,
        source: Source,
        settings: OutputSettings | None = None,
        *,
        scale: int = 1,
        overwrite: bool = False,
        threads: int = 0,
        plan: OutputPlan | None = None,
        exclusive: bool = True,
    ) -> None:
        self._source = source
        self._is_strict = settings is not None and settings.strict
        super().__init__(plan or plan_output(source, output, settings, scale=scale))
        plan = self.plan
        self._waiting: deque[Passthrough] = deque()
        self._holds_packets_back = plan.is_pipe and plan.encoder == RAW
        try:
            known = None if source.is_pipe else source.path
            target = self._open_target(known, overwrite=overwrite, exclusive=exclusive)
            if plan.container in PLAIN:
                assert isinstance(target, ByteStream)
                self._session = RawVideo(target, plan)
            else:
                sample = self._picture(source.first)
                self._muxer = RecordedMuxer(target, plan, sample, source, threads)
                self._session = self._muxer
        except BaseException:
            self._release(failed=True)
            raise

    def _picture(self, frame: Frame) -> VideoFrame:
        return picture_of(frame, self._source.first, self.plan.shape)

    def push(self, frame: Frame) -> None:
        """Write one frame; see `OutputWriter.push`."""
        super().push(frame)
        if self._waiting:
            self._push_waiting(frame.pts * frame.time_base)

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet of another stream; see `OutputWriter.push_packet`.

        Packets overtake the frames that the stages hold back. A muxer sorts them, but would have to
        hold frames to do so, and raw ones are too large for that: so packets wait here instead.
        """
        if self._holds_packets_back:
            self._waiting.append(item)
        else:
            super().push_packet(item)

    def _push_waiting(self, until: Fraction | None) -> None:
        """Copy the packets that are due up to a time in seconds, or all of them."""
        while self._waiting and (until is None or _due(self._waiting[0].packet) <= until):
            super().push_packet(self._waiting.popleft())

    def check_losses(self, losses: Iterable[str]) -> None:
        """Refuse a strict result that did not keep everything; to be called before `close`.

        Args:
            losses: What was lost while the source was read; see `ReadReport.losses`.

        Raises:
            OutputError: Something was lost although the settings are strict.
        """
        found = (*losses, *self.losses)
        if self._is_strict and found:
            why = "; ".join(dict.fromkeys(found))
            raise OutputError(f"{self.plan.name}: not written because of --strict: {why}")

    @property
    def losses(self) -> tuple[str, ...]:
        """Losses while the result was written that the plan did not foresee."""
        return () if self._session is None else self._session.losses

    @property
    def tick(self) -> Fraction:
        """Unit of the timestamps of the result, in seconds."""
        return self.plan.timing.tick

    @property
    def parameters(self) -> bytes:
        """Data that decoders need before the first picture."""
        return self._muxer.parameters

    def push_encoded(self, packet: Packet) -> None:
        """Write a packet of the video that another encoder with the same settings made.

        Args:
            packet: A packet in decoding order, with all its times in units of `tick`.

        Raises:
            OutputError: The result cannot be written.
        """
        with self._guard, self._writing():
            self._muxer.push_encoded(packet)
            self._frames += 1

    def _finish(self) -> None:
        self._push_waiting(None)
        super()._finish()


def _due(packet: Packet) -> Fraction:
    """Return when a packet is to be written, in seconds; at once, if it has no time."""
    ticks = packet.pts if packet.dts is None else packet.dts
    return _AT_ONCE if ticks is None else ticks * packet.time_base


_AT_ONCE = Fraction(-(1 << 62))


class LiveWriter(OutputWriter):
    """Writes the result of a live source with low latency.

    While a network is disconnected, frames are dropped and counted; every new connection starts
    with headers and a keyframe. Only the first connection is not tried again.

    Args:
        address: "-" for standard output, "camera:" with or without a name, a URL, or a path.
        feed: The source.
        settings: The user's choices.
        overwrite: Whether an existing file may be replaced.
        rate: Frames per second, by default as the source claims.
        on_event: Called with a line about each later event, also from other threads.

    Raises:
        OutputError: The result cannot be written, or there is no connection in time.
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
                self._session = CameraSession(self.plan)
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
        """Continue with a source that has another size or format, or was connected to again.

        Frames are fitted into the size that the result has, and sound is copied if it is the same.
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
        """Make the first connection, which is not tried again.

        Raises:
            OutputError: There is no connection within `connect_seconds`.
        """
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
        """Return the session, on a new connection as soon as there is one."""
        connector = self._connector
        if connector is not None and (stream := connector.result()) is not None:
            self._retry_delay, self._connector = connector.delay, None
            self._use(stream)
            missed, self._missed = self._missed, 0
            self._on_event(f"{self.plan.name}: connected again, {missed} frames were dropped")
        return self._session

    def _drop_frame(self) -> None:
        self.dropped += 1
        self._missed += 1

    def _handle_break(self, error: OutputError) -> None:
        """Connect again, where that is possible and wanted."""
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
        """Finish; see `OutputWriter.close`. A network that breaks meanwhile is only a notice.

        Raises:
            OutputError: The network had been lost before, and did not come back.
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
                f"the last {self._missed} frames were dropped"
            )

    def _finish(self) -> None:
        if self._connector is None:
            super()._finish()

    def _release(self, *, failed: bool) -> None:
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.stop()
        super()._release(failed=failed)
