"""A sink that may break, and is connected to again."""

import threading
import time

from crsr_video.errors import EncoderError, OutputError
from crsr_video.io import pyav
from crsr_video.io.feed import Feed, SinkSettings
from crsr_video.io.outgoing.address import Target
from crsr_video.io.outgoing.connecting import Connection
from crsr_video.io.outgoing.encoding_sink import EncodingSink, Tell
from crsr_video.io.outgoing.planning import SinkPlan
from crsr_video.io.outgoing.relaying import RelayWire
from crsr_video.io.outgoing.wire import Wire
from crsr_video.io.outgoing.writing import Writing
from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame

_STALLED_SECONDS = 5.0
"""A peer that takes nothing for so long has gone."""
_FLUSHING_SECONDS = 2.0
_STEADY_SECONDS = 10.0
"""A connection that held so long was a good one: the next break is tried again soon."""


class NetworkSink(EncodingSink):
    """Encodes for a peer; while there is none, frames are dropped and counted.

    Every connection begins with headers and a keyframe. The first is not tried twice.
    """

    def __init__(
        self, settings: SinkSettings, target: Target, plan: SinkPlan, feed: Feed, on_event: Tell
    ) -> None:
        """Connect.

        Raises: OutputError: nobody is there, or not within `connect_seconds`.
        """
        super().__init__(target, plan, feed, on_event)
        self._settings = settings
        self._wire: Wire | None = None
        self._writing: Writing | None = None
        self._again: Connection | None = None
        self._missed = 0
        self._wait: float | None = None
        self._begin(self._first_wire())
        self._confirm()

    def _confirm(self) -> None:
        """Wait for a peer that is only connected to when the header was written."""
        wire, seconds = self._wire, self._settings.connect_seconds
        if isinstance(wire, RelayWire):
            try:
                with pyav.translated(OutputError, f"{self._target.name}: cannot be reached"):
                    wire.connect(seconds, threading.Event())
            except OutputError:
                self._let_go()
                raise

    def _first_wire(self) -> Wire:
        seconds = self._settings.connect_seconds
        connection = Connection(self._target, seconds)
        try:
            wire = connection.result(seconds + 1.0)
        finally:
            connection.stop()
        if wire is None:
            raise OutputError(f"{self._target.name}: no answer within {seconds:g} s")
        return wire

    def _begin(self, wire: Wire) -> None:
        """Start a stream on a new connection."""
        wire.patience = min(_STALLED_SECONDS, self._settings.connect_seconds)
        try:
            self._writing = self._start(wire)
        except BaseException:
            wire.release()
            raise
        self._wire, self._since = wire, time.monotonic()

    @property
    def state(self) -> str:
        """What it does just now."""
        again = self._again
        return again.state if again is not None else self._act

    # Writing ------------------------------------------------------------------------------------

    def push(self, frame: Frame) -> None:
        """Write a frame, or drop it while nobody is connected."""
        with self._guard:
            self._check()
            try:
                self._resume()
                if self._writing is None:
                    self.dropped += 1
                    self._missed += 1
                    return
                self._act = "encoding"
                self._writing.push(self._picture(frame), frame)
            except EncoderError:
                raise
            except OutputError as error:
                self._broke(error)
            finally:
                self._act = "idle"

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet, or drop it likewise."""
        with self._guard:
            self._check()
            if self._writing is None:
                return
            try:
                self._writing.push_packet(item)
            except OutputError as error:
                self._broke(error)

    def _check(self) -> None:
        if self._done:
            raise OutputError(f"{self._target.name}: is closed")

    def _resume(self) -> None:
        """Take a new connection, if there is one."""
        if self._again is None or (wire := self._again.result()) is None:
            return
        self._wait, self._again = self._again.wait, None
        self._begin(wire)
        self._tell(f"{self._target.name}: connected again, {self._missed} frames were left out")
        self._missed = 0

    def _broke(self, error: OutputError) -> None:
        """Let go of the connection and see to a new one.

        Raises: OutputError: there shall be none.
        """
        steady = time.monotonic() - self._since > _STEADY_SECONDS
        closing = self._wire is not None and self._wire.closed
        self._let_go()
        if closing or not self._settings.reconnect:
            raise error
        self._missed += 1
        self.dropped += 1
        self._tell(f"{error}; connecting again")
        wait = 0.5 if steady or self._wait is None else self._wait
        self._again = Connection(
            self._target, self._settings.connect_seconds, wait=wait, tell=self._tell
        )

    # Ending -------------------------------------------------------------------------------------

    def _cut(self) -> None:
        wire = self._wire
        if wire is not None:
            wire.cut()

    def close(self) -> None:
        """Say goodbye, if anybody is there."""
        in_time = self._acquire_end()
        try:
            if self._done:
                return
            self._done = True
            if in_time and self._writing is not None and self._wire is not None:
                self._wire.patience = _FLUSHING_SECONDS
                self._writing.finish()
                self._wire.finish()
        except EncoderError:
            raise
        except OutputError as error:
            self._tell(str(error))
        finally:
            self._let_go()
            self._guard.release()

    def abort(self) -> None:
        """Give up."""
        self._cut()
        with self._guard:
            self._done = True
            self._let_go()

    def _let_go(self) -> None:
        if self._again is not None:
            self._again.stop()
            self._again = None
        if self._writing is not None:
            self._writing.drop()
            self._writing = None
        if self._wire is not None:
            self._wire.release()
            self._wire = None
