"""A live source that goes on: over damage, changes of form, silences and broken connections.

What counts as the end, and what as a break:

- a pipe ends when the other side closes it; another stream that follows in the same pipe goes on;
- a file ends at its end, or begins again;
- a network source ends where it says so itself: the end of an HLS playlist, a TCP or HTTP
  connection that is closed in order, RTMP's word for it, a recording behind RTSP. All else is a
  break, and so is silence: it is connected to again. So are live RTSP and SRT sources that end, for
  a sender that was restarted looks the same; and UDP never ends;
- a camera that fails is a break, too.

Only the first connection must succeed at once.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import astuple, dataclass, fields

from crsr_video.closing import Closing
from crsr_video.config import ReadSettings
from crsr_video.errors import InputError, NoVideoError
from crsr_video.io import pyav
from crsr_video.io.feed import Arrival, Feed, SourceSettings
from crsr_video.io.incoming.address import Kind, target_of
from crsr_video.io.incoming.connection import Broken, Connection, Context, Counts, Gone
from crsr_video.io.incoming.feeds import Held, feed_of
from crsr_video.io.incoming.halt import Halt, Stopped
from crsr_video.io.incoming.pace import Pace
from crsr_video.io.incoming.pictures import Form, Pictures
from crsr_video.io.incoming.pipe import Pipe
from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before connecting again: doubled each time up to the longest."""
DAMAGE_SECONDS = 5.0
"""Damage is told at most once in so long."""
_DRY_SECONDS = 0.5
_CHOICES = [part.name for part in fields(SourceSettings) if part.name != "address"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What has come so far."""

    frames: int
    packets: int
    """Of all streams."""
    damaged_packets: int
    """Reads and packets that nothing could be made of."""
    damaged_frames: int
    """Pictures that the decoder had to patch up."""
    reconnections: int
    stalls: int
    """Silences longer than the settings allow."""


class Incoming(Closing):
    """An opened live source; a context manager, to be iterated over once, in one thread."""

    feed: Feed
    """Of the present connection."""
    state: str
    """What is being done, or waited for, just now."""

    def __init__(
        self,
        address: str,
        read: ReadSettings | None = None,
        *,
        on_event: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Open a source and decode its first frame.

        Args:   on_event: takes a line whenever something happens that the user should know.
        Raises: InputError: there is no such source, or it sends no picture within the time.
                NoVideoError: it can be read, but holds no picture.
        """
        read = read or ReadSettings()
        chosen = {name: getattr(read, name) for name in _CHOICES}
        settings = SourceSettings(address=address, **chosen)
        self._settings, self._on_event = settings, on_event
        self._target = target_of(settings)
        self._halt, self._counts = Halt(), Counts()
        self._context = Context(
            target=self._target,
            settings=settings,
            halt=self._halt,
            counts=self._counts,
            tell=self._tell,
            tell_damage=self._tell_damage,
            show=self._show,
        )
        self._connection: Connection | None = None
        self._pictures = Pictures(self._context)
        self._form: Form | None = None
        self._known = False
        self._broken: str | None = None
        self._damage_told = -DAMAGE_SECONDS
        self._silent = False
        slack = _DRY_SECONDS if self._target.in_pieces else None
        self._pace = Pace(self._halt, slack=slack) if self._target.paced else None
        self._descriptor: int | None = None
        self._pipe = self._open_pipe() if self._target.kind is Kind.PIPE else None
        self._items = self._run()
        try:
            self._arrivals = self._all(self._take_first())
        except BaseException:
            self.close()
            raise

    # What others ask ----------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Whether frames come at a pace of their own, so that who is late must drop some."""
        return self._target.live

    @property
    def statistics(self) -> Statistics:
        """What has come so far."""
        return Statistics(*astuple(self._counts))

    def stop(self) -> None:
        """Let the iteration end soon, wherever it waits; may be called by any thread."""
        self._halt.stop()

    def close(self) -> None:
        """Free the source; not while another thread iterates. What came out stays valid."""
        self._halt.stop()
        self._items.close()
        self._drop()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self.state = "closed"

    def __iter__(self) -> Iterator[Arrival]:
        """What comes, in order; the first frame, or sound before it, comes first.

        Who stops taking may go on later where that was.
        Raises: InputError: the source broke off for good.
        """
        return self._arrivals

    # Opening ------------------------------------------------------------------------------------

    def _open_pipe(self) -> Pipe:
        shown, number = self._target.shown, 0
        try:
            if self._target.url == "-":
                if os.isatty(number):
                    raise InputError(f"{shown} is a terminal: no video is piped in")
                os.fstat(number)
            else:
                number = os.open(self._target.url, os.O_RDONLY | os.O_NONBLOCK)
                self._descriptor = number
        except OSError as error:
            raise InputError(f"{shown}: cannot be read: {pyav.reason(error)}") from error
        return Pipe(number, self._halt, on_silence=self._note_silence)

    def _take_first(self) -> list[Arrival]:
        """Read up to the first frame.

        Raises: InputError, NoVideoError: there is none.
        """
        taken: list[Arrival] = []
        for arrival in self._items:
            if isinstance(arrival.item, Feed):
                continue
            taken.append(arrival)
            if isinstance(arrival.item, Frame):
                return taken
        raise NoVideoError(f"{self._target.shown}: no picture could be decoded")

    def _all(self, first: list[Arrival]) -> Generator[Arrival]:
        for arrival in first:
            if self._halt.stopped:
                return
            yield arrival
        yield from self._items

    # Connections --------------------------------------------------------------------------------

    def _run(self) -> Generator[Arrival]:
        """Everything of all connections."""
        try:
            self._connection = Connection(self._context, self._pipe)
            while True:
                yield from self._session(self._connection)
                if not self._go_on():
                    break
        except Stopped:
            pass
        finally:
            self.state = "ended"

    def _session(self, connection: Connection) -> Generator[Arrival]:
        """Everything of one connection; ends when that has ended or broken off."""
        try:
            yield from self._received(connection)
            connection.check_end()
            self._broken = None
        except Gone as error:
            self._broken = str(error) if self._settings.reconnect else None
        except Broken as error:
            self._broken = str(error)

    def _go_on(self) -> bool:
        """Whether there is another connection after one that has ended; opens it."""
        self._drop()
        if self._broken is not None and self._counts.frames == 0:
            raise InputError(f"{self._target.shown}: {self._broken}")
        if self._broken is None and not self._follows():
            return False
        if self._broken is None:
            self._open_next()
        else:
            self._reconnect(self._broken)
        return True

    def _follows(self) -> bool:
        """Whether something follows a proper end."""
        return self._settings.loop or (self._pipe is not None and self._pipe.more)

    def _open_next(self) -> None:
        if self._pipe is not None:
            self._pipe.next_stream()
        self._connection = Connection(self._context, self._pipe)

    def _reconnect(self, why: str) -> None:
        """Connect again, for as long as it takes.

        Raises: InputError: that is not wanted, or of no use. Stopped: the run is to end.
        """
        shown, pause = self._target.shown, FIRST_PAUSE
        lasting = self._target.kind in (Kind.NETWORK, Kind.DEVICE)
        if self._target.kind is Kind.FILE or (lasting and not self._settings.reconnect):
            raise InputError(f"{shown}: {why}")
        if self._pipe is not None and self._pipe.exhausted:
            raise InputError(f"{shown}: {why}")
        self._tell(f"{why}; {'connecting' if lasting else 'looking'} again")
        while True:
            if lasting:
                self._show("waiting to reconnect")
                self._halt.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                self._open_next()
                break
            except InputError as error:
                if not lasting:
                    raise
                told = str(error).removeprefix(f"{shown}: ")
                self._tell(f"{told}; next attempt in {pause:g} s")
        self._counts.reconnections += 1
        self._tell("connected again")

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Items --------------------------------------------------------------------------------------

    def _received(self, connection: Connection) -> Generator[Arrival]:
        held = Held()
        self._known = self._settings.loop and self._form is not None
        for item, at in self._pictures.of(connection):
            if isinstance(item, Frame):
                yield from self._announce(connection, item, at, held)
                at = self._wait_for(item, at)
                yield from self._hand_over(connection, Arrival(item, at))
                continue
            arrival = Arrival(Passthrough(item.stream_index, item), at)
            if self._known:
                yield from self._hand_over(connection, arrival)
            else:
                held.add(arrival, item.size)

    def _announce(
        self, connection: Connection, frame: Frame, at: float, held: "Held"
    ) -> Generator[Arrival]:
        """Before a frame unlike the last one, or of a new connection: what is known of it."""
        form = (frame.width, frame.height, frame.layout.name)
        if self._known and form == self._form:
            return
        self._known, self._form, self.feed = True, form, feed_of(connection, frame)
        yield from self._hand_over(connection, Arrival(self.feed, at))
        for arrival in held.take():
            yield from self._hand_over(connection, arrival)

    def begin_clock(self) -> None:
        """What is paced goes on from here: what came till now was only looked at."""
        if self._pace is not None:
            self._pace.anew()

    def _wait_for(self, frame: Frame, at: float) -> float:
        """Wait until a paced frame is due; when it arrived, so to speak."""
        if self._pace is None:
            return at
        self._show("waiting until a frame is due")
        self._pace.wait(frame.pts * frame.time_base)
        return time.monotonic()

    def _hand_over(self, connection: Connection, arrival: Arrival) -> Generator[Arrival]:
        """Yield; the time that the other side takes is not the source's."""
        self._show("handing over")
        self._halt.check()
        before = time.monotonic()
        yield arrival
        connection.picture_at += time.monotonic() - before
        self._silent = False

    # Words --------------------------------------------------------------------------------------

    def _show(self, state: str) -> None:
        self.state = state

    def _tell(self, line: str) -> None:
        self._on_event(f"{self._target.shown}: {line}")

    def _tell_damage(self) -> None:
        now = time.monotonic()
        if now - self._damage_told >= DAMAGE_SECONDS:
            self._damage_told = now
            packets, frames = self._counts.damaged_packets, self._counts.damaged_frames
            self._tell(f"damaged data: {packets} packets lost, {frames} pictures patched so far")

    def _note_silence(self, seconds: float) -> None:
        """Nothing comes through the pipe; told once, and waited out."""
        if seconds > self._settings.stall_seconds and not self._silent and self._counts.frames:
            self._silent = True
            self._counts.stalls += 1
            self._tell(f"nothing came for {seconds:.0f} s; waiting")
