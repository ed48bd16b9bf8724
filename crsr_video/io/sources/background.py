"""Background thread that opens and demuxes a live source, so that its reader can stop at any time.

FFmpeg waits for the network inside its own code, where no other thread can interrupt it. The
reader therefore never waits for FFmpeg: it waits for this thread's queue, in short steps, and may
leave at any time. The thread then ends by itself: at once if it reads a pipe, and after PyAV's own
timeout if FFmpeg waits for the network. It closes whatever it has opened. Signals cannot
get lost in FFmpeg either, since Python handles them in the main thread.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from av.error import ExitError, FFmpegError, InvalidDataError

from crsr_video.closing import Closing
from crsr_video.config import ReadSettings
from crsr_video.errors import InputError
from crsr_video.io import pipes, pyav
from crsr_video.io.pyav import Packet
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.io.sources.relay import ReceivingRelay
from crsr_video.io.sources.targets import SourceKind, Target

POLL_SECONDS = 0.1
"""How long one wait lasts before the reader checks whether it should stop."""
_QUEUED_PACKETS = 4
_CAMERA_POLL_SECONDS = 0.002
_GRACE_SECONDS = 0.5
_MOST_FAILURES = 500
"""Number of errors in a row after which reading a source ends."""
_PIECES = 4
"""Factor on the stall timeout of a source that comes in pieces, whose silences are longer."""
_JOIN_SECONDS = 1.0
"""How long closing waits for the thread. If FFmpeg blocks it longer, it ends by itself later."""


class ConnectionLost(Exception):  # noqa: N818 - not an error for the user: the reader reconnects
    """A connection cannot be used any more. The message says why."""


class Stalled(ConnectionLost):
    """A connection sends nothing any more."""


class Stopped(Exception):  # noqa: N818 - not an error
    """The run must end."""


class _Received(NamedTuple):
    packet: Packet
    at: float


_Event = SourceConnection | _Received | Exception | None
"""`None` means that the source has ended."""


class BackgroundConnection(Closing):
    """A live source from its opening to its end.

    Args:
        target: The source.
        settings: Timeouts, and options of protocols.
        input_pipe: The pipe through which the source comes, if any.
        stop: Set when the run is to end.
        on_silence: Called repeatedly with the seconds of silence, while a pipe or a camera that has
            sent pictures sends nothing.
        on_damage: Called for every read error after which reading goes on.

    Raises:
        InputError: The source cannot be opened, or not in time.
        NoVideoError: It holds no video.
        Stopped: The run is to end.
    """

    def __init__(
        self,
        target: Target,
        settings: ReadSettings,
        input_pipe: pipes.InputPipe | None,
        *,
        stop: threading.Event,
        on_silence: Callable[[float], None],
        on_damage: Callable[[], None],
    ) -> None:
        self._target, self._settings, self._input_pipe = target, settings, input_pipe
        self._stop, self._on_silence, self._on_damage = stop, on_silence, on_damage
        self._relay: ReceivingRelay | None = None
        self._closing = threading.Event()
        self._events: queue.Queue[_Event] = queue.Queue(_QUEUED_PACKETS)
        self._deadline = time.monotonic() + settings.connect_seconds
        """Latest `time.monotonic` at which the first picture must have come."""
        self.has_pictures = False
        """Whether any picture was decoded; set by the reader."""
        self._fruitless = 0.0
        self._stall_seconds = settings.stall_seconds * (_PIECES if target.comes_in_pieces else 1)
        self._thread = threading.Thread(target=self._run, name="live-source", daemon=True)
        self._thread.start()
        try:
            opened = self._next_event()
            if isinstance(opened, Exception):
                raise opened
            assert isinstance(opened, SourceConnection)
            self.connection = opened
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the thread close the source, in the background if FFmpeg keeps it waiting."""
        self._closing.set()
        if self._input_pipe is not None:
            self._input_pipe.interrupt()
        self._thread.join(_JOIN_SECONDS)

    # In the reader's thread ----------------------------------------------------------------------

    def picture_decoded(self) -> None:
        """Note that a picture was decoded."""
        self.has_pictures, self._fruitless = True, 0.0

    def packets(self) -> Iterator[tuple[Packet, float]]:
        """Yield packets, each with the `time.monotonic` of its arrival, until the source ends.

        Raises:
            ConnectionLost: The connection failed.
            InputError: No picture came in time.
            Stopped: The run is to end.
        """
        while True:
            event = self._next_event()
            if isinstance(event, _Received):
                if event.packet.size:
                    yield event
                self._check_pictures()
            elif isinstance(event, Exception):
                self._handle(event)
            else:
                return

    def _next_event(self) -> _Event:
        began, silent_before = time.monotonic(), self._silent_seconds
        while True:
            if self._stop.is_set():
                raise Stopped
            try:
                event = self._events.get(timeout=POLL_SECONDS)
            except queue.Empty:
                waited = time.monotonic() - began
                busy = max(0.0, waited - (self._silent_seconds - silent_before))
                self._check_wait(waited, busy)
                continue
            waited = time.monotonic() - began
            self._fruitless += max(0.0, waited - (self._silent_seconds - silent_before))
            return event

    @property
    def _silent_seconds(self) -> float:
        """Seconds so far in which a pipe sent nothing."""
        input_pipe = self._input_pipe
        return 0.0 if input_pipe is None else input_pipe.silent_seconds + input_pipe.silence

    def _check_wait(self, waited: float, busy: float) -> None:
        """Raise if a wait for an event has become too long.

        Args:
            waited: Seconds of the wait so far.
            busy: Seconds of this wait in which a pipe was not silent.
        """
        if not self.has_pictures:
            if time.monotonic() > self._deadline:
                raise self._too_late()
        elif self._target.kind is SourceKind.NETWORK:
            if waited > self._stall_seconds:
                raise self._stalled()
        elif self._input_pipe is not None:
            if self._fruitless + busy > self._longest_without_picture:
                raise self._without_pictures()
            self._on_silence(self._input_pipe.silence)
        elif self._target.kind is SourceKind.DEVICE:
            self._on_silence(waited)

    @property
    def _longest_without_picture(self) -> float:
        return max(self._settings.connect_seconds, self._stall_seconds)

    def _check_pictures(self) -> None:
        """Raise if packets come, but no picture can be decoded from them."""
        if not self.has_pictures:
            if time.monotonic() > self._deadline:
                raise self._too_late()
        elif self._target.is_live and self._fruitless > self._longest_without_picture:
            raise self._without_pictures()

    def _without_pictures(self) -> ConnectionLost:
        return ConnectionLost(f"sent no picture for {self._longest_without_picture:g} s")

    def _stalled(self) -> ConnectionLost:
        return Stalled(f"sent nothing for {self._stall_seconds:g} s")

    def _too_late(self) -> InputError:
        seconds = self._settings.connect_seconds
        return InputError(f"{self._target.name}: sent no picture within {seconds:g} s")

    def _handle(self, error: Exception) -> None:
        """Continue after damaged bytes, or raise the exception that ends the connection."""
        if isinstance(error, ExitError):  # PyAV's timeout.
            raise (self._stalled() if self.has_pictures else self._too_late()) from error
        if not isinstance(error, (FFmpegError, OSError)):
            raise error
        if self._is_fatal(error):
            raise ConnectionLost(f"broke off: {pyav.reason(error)}") from error
        self._on_damage()

    def relay_failure(self) -> str | None:
        """Return why the program that receives the source has failed, if it has."""
        return self._relay.failure() if self._relay is not None else None

    @property
    def is_relayed(self) -> bool:
        """Whether a program receives the source."""
        return self._relay is not None

    # In the background thread --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            if self._target.is_relayed:
                options = self._settings.options
                self._relay = ReceivingRelay(self._target.url, self._target.name, options)
                self._input_pipe = pipes.InputPipe(self._relay.descriptor, self._target.name)
                if self._closing.is_set():
                    self._input_pipe.interrupt()
            with self._open() as connection:
                self._put(connection)
                self._demux(connection)
                self._closing.wait()  # The decoder still needs the container.
        except Exception as error:
            self._put(error)
        finally:
            if self._relay is not None:
                self._relay.close()

    def _open(self) -> SourceConnection:
        # These timeouts are longer than the reader's own, so that the reader reports the problem.
        timeout = 2 * self._settings.connect_seconds, self._stall_seconds + _GRACE_SECONDS
        try:
            return SourceConnection(
                self._target, self._input_pipe, timeout=timeout, waits_for_facts=False
            )
        except InputError as error:
            if isinstance(error.__cause__, ExitError):
                raise self._too_late() from error
            if why := self.relay_failure():
                raise InputError(f"{self._target.name}: cannot be reached: {why}") from error
            raise

    def _demux(self, connection: SourceConnection) -> None:
        try:
            for packet in connection.packets(self._pass_on, _MOST_FAILURES):
                at = time.monotonic() if self._input_pipe is None else self._input_pipe.read_at
                self._put(_Received(packet, at))
                if self._closing.is_set():
                    return
            if self._input_pipe is not None:
                self._input_pipe.check()
            if connection.gave_up:
                raise ConnectionLost("is damaged beyond reading")
            self._put(None)
        except Exception as error:
            self._put(error)

    def _pass_on(self, error: Exception) -> None:
        if self._closing.is_set():
            raise error
        if isinstance(error, BlockingIOError) and self._target.kind is SourceKind.DEVICE:
            time.sleep(_CAMERA_POLL_SECONDS)
        elif self._is_fatal(error):
            raise error
        else:
            self._put(error)

    def _is_fatal(self, error: Exception) -> bool:
        is_lasting = self._target.kind in (SourceKind.DEVICE, SourceKind.NETWORK)
        return isinstance(error, ExitError) or (
            is_lasting and not isinstance(error, InvalidDataError)
        )

    def _put(self, event: _Event) -> None:
        """Hand an event to the reader, or drop the event if the reader has left."""
        while not self._closing.is_set():
            try:
                self._events.put(event, timeout=POLL_SECONDS)
                return
            except queue.Full:
                continue
