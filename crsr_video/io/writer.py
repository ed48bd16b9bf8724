"""Write a video: encode its frames, and copy all other streams unchanged.

There is one writer for all destinations. Files, pipes, virtual cameras and networks differ in where
the bytes go, and in what happens when the receiver is slow or gone; see `destinations`.

A file gets its final name only when it is complete. Until then, it has a hidden name in the same
folder, and it is removed if writing fails.
"""

import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame

from crsr_video.closing import Closing
from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError, OutputError
from crsr_video.io import pyav
from crsr_video.io.containers import PLAIN
from crsr_video.io.destinations.byte_streams import ByteStream, FileStream, StandardOutput
from crsr_video.io.encoders import RAW
from crsr_video.io.muxing import RecordedMuxer
from crsr_video.io.output_file import OutputFile
from crsr_video.io.output_plan import OutputPlan, plan_output
from crsr_video.io.pictures import picture_of
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.raw_video import RawVideo
from crsr_video.io.session import OutputSession
from crsr_video.io.source import RecordedSource
from crsr_video.types import Frame

_ENDING_SECONDS = 0.3
"""How long `close` waits for a push in another thread before it cancels it."""
_FLUSHING_SECONDS = 5.0
"""How long a live receiver may take for the last bytes."""


class OutputWriter(Closing):
    """Base class of `Writer` and `live_writer.LiveWriter`, which write one result each.

    As a context manager, it aborts if the block raises an exception. Only one thread may push at a
    time. `interrupt`, `close` and `abort` may be called from any thread.
    """

    plan: OutputPlan
    """Plan of what is written and what is lost."""
    dropped: int
    """Number of frames that were dropped because a network was disconnected or because they
    exceeded a constant frame rate."""

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
        """Open standard output or a file, or return the path of a folder that FFmpeg writes."""
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
            ReaderGoneError: The reader of standard output has closed it. This is not a failure.
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
        """Copy a packet of another stream. It is ignored if the result has no such stream.

        Containers need all streams in order of time. A live video therefore waits for sound of the
        same or a later time, but for at most one frame. Push sound before its frame to avoid this
        delay.
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
        """Handle a failure to write."""
        raise error

    # Ending -------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Make a push that waits for a slow reader, in any thread, fail at once."""
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def close(self) -> None:
        """Write the remaining data, and give a file its final name. May be called twice.

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
        """Finish the result if `finish` is set, and free all resources."""
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
        scale: Factor by which the frames are larger than those of the source.
        overwrite: Whether an existing file may be replaced.
        threads: Number of encoder threads. With 0, the encoder chooses.
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
        source: RecordedSource,
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

        Packets overtake the frames that the stages hold back. A muxer can restore the order, but it
        holds frames to do so, and raw frames are too large for that. With raw frames, the packets
        wait here instead.
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
        """Refuse a result with losses if the settings are strict. Call this before `close`.

        Args:
            losses: Losses that occurred while the source was read; see `ReadReport.losses`.

        Raises:
            OutputError: Something was lost although the settings are strict.
        """
        found = (*losses, *self.losses)
        if self._is_strict and found:
            why = "; ".join(dict.fromkeys(found))
            raise OutputError(f"{self.plan.name}: not written because of `strict`: {why}")

    @property
    def losses(self) -> tuple[str, ...]:
        """Losses that occurred during writing and that the plan does not list."""
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
        """Write a packet of the video stream from another encoder with the same settings.

        Args:
            packet: A packet in decoding order, with all its times in units of `tick`.
        """
        with self._guard, self._writing():
            self._muxer.push_encoded(packet)
            self._frames += 1

    def publish_copy(self) -> None:
        """Close, and make the result a copy of the source instead of what was written so far.

        Raises:
            OutputError: The file cannot be written.
        """
        assert self._file is not None
        with self._guard, self._writing():
            if self._session is not None:
                self._session.drop()
            if self._stream is not None:
                self._stream.release()
            try:
                self._file.publish_copy(self._source.path)
            finally:
                self._release(failed=True)

    def _finish(self) -> None:
        self._push_waiting(None)
        super()._finish()


def _due(packet: Packet) -> Fraction:
    """Return the time in seconds at which a packet is due: at once if it has no timestamp."""
    ticks = packet.pts if packet.dts is None else packet.dts
    return _AT_ONCE if ticks is None else ticks * packet.time_base


_AT_ONCE = Fraction(-(1 << 62))
