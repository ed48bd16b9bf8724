"""Read a live source across damage, changes of form, silences and broken connections.

The kind of a source decides whether an event ends the source or only interrupts it:

- A pipe ends when the other side closes it. If another stream follows in the same pipe, reading
  continues with that stream.
- A file ends at its end, or starts again (`loop`).
- A network source ends only when it signals its end: at the end of an HLS playlist, when a TCP or
  HTTP connection is closed in order, at RTMP's message for the end of a stream, or at the end of a
  recording behind RTSP. Everything else, including silence, is an interruption, after which the
  reader reconnects. The reader also reconnects to a live RTSP or SRT source that ends, because a
  restarted sender looks the same. UDP never ends.
- After a failure of a camera, the reader reconnects to it.

The first connection is not retried: it must succeed at once.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from crsr_video.closing import Closing
from crsr_video.config import ReadSettings
from crsr_video.errors import InputError, NoVideoError
from crsr_video.io import pipes, pyav
from crsr_video.io.decoding import Form, form_of
from crsr_video.io.live_session import LiveSession, SenderGone
from crsr_video.io.pace import FIRST_DELAY_SECONDS, Pace, next_delay
from crsr_video.io.packet_clocks import Timeline, common_time_base
from crsr_video.io.pyav import Passthrough
from crsr_video.io.source import Arrival, Source
from crsr_video.io.sources.background import (
    BackgroundConnection,
    ConnectionLost,
    Stalled,
    Stopped,
)
from crsr_video.io.sources.targets import SourceKind, live_target
from crsr_video.types import Frame

MAX_HELD_BYTES = 64 << 20
"""Maximum size in bytes of the packets of other streams that are kept before the first frame."""
_DAMAGE_NOTICE_SECONDS = 5.0
"""Minimum time between two reports of damage."""
_DRY_SECONDS = 0.5
"""Delay after which a source that arrives in pieces counts as run dry, so that pacing restarts."""


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """Counts of what a live source has delivered, over all connections."""

    frames: int = 0
    packets: int = 0
    """Packets of all streams."""
    damaged_packets: int = 0
    """Packets and reads that yielded no usable data."""
    damaged_frames: int = 0
    """Pictures in which the decoder concealed damage."""
    reconnections: int = 0
    stalls: int = 0
    """Silences that were longer than the settings allow."""


class LiveReader(Closing):
    """An opened live source: a context manager, and an iterable of arrivals for one thread.

    Args:
        address: "-" for standard input, a camera, a URL or a file.
        settings: How the source is read.
        on_event: Called with one line of text for each event that the user should know about.

    Raises:
        InputError: There is no such source, or it sends no picture in time.
        NoVideoError: The source can be read, but holds no picture.
        ConfigError: The settings do not fit the source.
    """

    source: Source
    state: str
    """Current activity of the reader, or what it waits for."""

    def __init__(
        self,
        address: str,
        settings: ReadSettings | None = None,
        *,
        on_event: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._settings, self._on_event = settings or ReadSettings(), on_event
        self._target = live_target(address, self._settings)
        self._stop = threading.Event()
        self.counts = LiveCounts()
        """Counts so far."""
        self._connection: BackgroundConnection | None = None
        self._timeline: Timeline | None = None
        self._form: Form | None = None
        self._is_announced = False
        self._is_silent = False
        self._damage_reported_at = -_DAMAGE_NOTICE_SECONDS
        slack = _DRY_SECONDS if self._target.comes_in_pieces else None
        self._pace = Pace(self._stop, slack=slack) if self._target.is_paced else None
        self._descriptor: int | None = None
        self._input_pipe = self._open_input_pipe() if self._target.kind is SourceKind.PIPE else None
        self._incoming = self._run()
        try:
            self._arrivals = self._all(self._read_first_frame())
        except BaseException:
            self.close()
            raise

    @property
    def is_live(self) -> bool:
        """Whether frames arrive at their own pace, so that a slow consumer must drop some."""
        return self._target.is_live

    def interrupt(self) -> None:
        """End the iteration soon, whatever it is waiting for. Any thread may call this."""
        self._stop.set()

    def close(self) -> None:
        """Close the source. No other thread may be iterating over it. Frames stay valid."""
        self._stop.set()
        self._incoming.close()
        self._disconnect()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self.state = "closed"

    def __iter__(self) -> Iterator[Arrival]:
        """Yield all arrivals in order, beginning with the first frame or the audio before it.

        A second iteration continues where the first one stopped.
        """
        return self._arrivals

    # Opening -------------------------------------------------------------------------------------

    def _open_input_pipe(self) -> pipes.InputPipe:
        name, descriptor = self._target.name, 0
        if self._target.url != "-":
            try:
                descriptor = os.open(self._target.url, os.O_RDONLY | os.O_NONBLOCK)
            except OSError as error:
                raise InputError(f"{name}: cannot be read: {pyav.reason(error)}") from error
            self._descriptor = descriptor
        return pipes.InputPipe(descriptor, name, splits_streams=True)

    def _read_first_frame(self) -> list[Arrival]:
        """Return all arrivals up to and including the first frame."""
        taken: list[Arrival] = []
        for arrival in self._incoming:
            if isinstance(arrival.item, Source):
                continue
            taken.append(arrival)
            if isinstance(arrival.item, Frame):
                return taken
        raise NoVideoError(f"{self._target.name}: no picture could be decoded")

    def _all(self, first: list[Arrival]) -> Generator[Arrival]:
        for arrival in first:
            if self._stop.is_set():
                return
            yield arrival
        yield from self._incoming

    # Connections ---------------------------------------------------------------------------------

    def _run(self) -> Generator[Arrival]:
        """Yield the arrivals of all connections, one after the other."""
        try:
            connection: BackgroundConnection | None = self._connect()
            while connection is not None:
                problem = yield from self._session(connection)
                connection = self._next_connection(problem)
        except Stopped:
            pass
        finally:
            self.state = "ended"

    def _connect(self) -> BackgroundConnection:
        self.state = "connecting"
        self._connection = BackgroundConnection(
            self._target,
            self._settings,
            self._input_pipe,
            stop=self._stop,
            on_silence=self._report_silence,
            on_damage=lambda: self._count(damaged_packets=1),
        )
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _session(self, connection: BackgroundConnection) -> Generator[Arrival, None, str | None]:
        """Yield the arrivals of a connection. Return why it was lost, or None if it ended."""
        try:
            session = LiveSession(
                connection,
                self._target,
                self._settings,
                self._timeline_of(connection),
                self._count,
                self._report,
            )
            yield from self._announced(session)
            session.check_end()
        except Stalled as error:
            self._count(stalls=1)
            return str(error)
        except SenderGone as error:
            return str(error) if self._settings.reconnect else None
        except ConnectionLost as error:
            return str(error)
        return None

    def _next_connection(self, problem: str | None) -> BackgroundConnection | None:
        """Return the next connection after one that ended or was lost, or None if there is none."""
        self._disconnect()
        if problem is not None and self.counts.frames == 0:
            raise InputError(f"{self._target.name}: {problem}")
        if problem is not None:
            return self._reconnect(problem)
        input_pipe = self._input_pipe
        if not self._settings.loop and (input_pipe is None or not input_pipe.has_next_stream):
            return None
        return self._continue()

    def _continue(self) -> BackgroundConnection:
        if self._input_pipe is not None:
            self._input_pipe.next_stream()
        return self._connect()

    def _reconnect(self, problem: str) -> BackgroundConnection:
        """Reconnect. For a network source or a camera, try until it succeeds."""
        name, delay = self._target.name, FIRST_DELAY_SECONDS
        is_lasting = self._target.kind in (SourceKind.NETWORK, SourceKind.DEVICE)
        is_over = self._input_pipe is not None and self._input_pipe.is_exhausted
        is_forbidden = is_lasting and not self._settings.reconnect
        if self._target.kind is SourceKind.FILE or is_forbidden or is_over:
            raise InputError(f"{name}: {problem}")
        self._report(f"{problem}; {'connecting' if is_lasting else 'looking'} again")
        while True:
            if is_lasting:
                self.state = "waiting to reconnect"
                if self._stop.wait(delay):
                    raise Stopped
            delay = next_delay(delay)
            try:
                connection = self._continue()
                break
            except InputError as error:
                if not is_lasting:
                    raise
                why = str(error).removeprefix(f"{name}: ")
                self._report(f"{why}; next attempt in {delay:g} s")
        self._count(reconnections=1)
        self._report("connected again")
        return connection

    # Items ---------------------------------------------------------------------------------------

    def _announced(self, session: LiveSession) -> Generator[Arrival]:
        """Yield a description of a connection, then the packets held before it, then its frames."""
        held: deque[tuple[Passthrough, float]] = deque()
        size = 0
        self._is_announced = self._settings.loop and self._form is not None
        for item, at in session.items():
            if not isinstance(item, Frame):
                packet = Passthrough(item.stream_index, item)
                if self._is_announced:
                    yield from self._hand_over(packet, at)
                    continue
                held.append((packet, at))
                size += item.size
                while size > MAX_HELD_BYTES:
                    size -= held.popleft()[0].packet.size
                continue
            if not self._is_announced or form_of(item) != self._form:
                self._is_announced, self._form = True, form_of(item)
                self.source = session.describe(item)
                yield from self._hand_over(self.source, at)
                while held:
                    yield from self._hand_over(*held.popleft())
                size = 0
            if self._pace is not None:
                self.state = "waiting until a frame is due"
                if not self._pace.wait(item.pts * item.time_base):
                    raise Stopped
                at = time.monotonic()
            yield from self._hand_over(item, at)

    def _hand_over(self, item: Frame | Passthrough | Source, at: float) -> Generator[Arrival]:
        self.state = "handing over"
        if self._stop.is_set():
            raise Stopped
        yield Arrival(item, at)
        self._is_silent = False
        self.state = "waiting for data"

    def _timeline_of(self, connection: BackgroundConnection) -> Timeline:
        """Return the timeline that all connections share, prepared for this connection."""
        if self._timeline is None:
            kind = self._target.kind
            self._timeline = Timeline(
                common_time_base(connection.connection.video.time_base or Fraction(0)),
                counts_pauses=kind is not SourceKind.FILE,
                is_sent_live=kind in (SourceKind.NETWORK, SourceKind.DEVICE),
            )
        else:
            self._timeline.restart()
        return self._timeline

    # Events --------------------------------------------------------------------------------------

    def _count(self, **more: int) -> None:
        """Add to the counts, and report damage at limited intervals."""
        values = {name: getattr(self.counts, name) + count for name, count in more.items()}
        self.counts = replace(self.counts, **values)
        if not more.keys() & {"damaged_packets", "damaged_frames"}:
            return
        now, counts = time.monotonic(), self.counts
        if now - self._damage_reported_at >= _DAMAGE_NOTICE_SECONDS:
            self._damage_reported_at = now
            self._report(
                f"damaged data: {counts.damaged_packets} packets lost,"
                f" {counts.damaged_frames} pictures concealed so far"
            )

    def _report(self, line: str) -> None:
        self._on_event(f"{self._target.name}: {line}")

    def _report_silence(self, seconds: float) -> None:
        """Report once that a pipe or a camera sends nothing. The reader goes on waiting for it."""
        if seconds > self._settings.stall_seconds and not self._is_silent and self.counts.frames:
            self._is_silent = True
            self._count(stalls=1)
            self._report(f"nothing came for {seconds:.0f} s; waiting")
