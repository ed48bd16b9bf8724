"""The server: one for each user, a thread for each client."""

import logging
import os
import select
import socket
import threading
import time
from contextlib import suppress

from crsr_video.closing import Closing
from crsr_video.errors import CrsrError, ProtocolError, ServerError, VersionError
from crsr_video.server import requests
from crsr_video.server.answers import Code, Refusal
from crsr_video.server.channel import Channel
from crsr_video.server.places import Place
from crsr_video.server.requests import Enhance
from crsr_video.server.session import Session
from crsr_video.server.wire import Kind
from crsr_video.server.workshop import Workshop

_log = logging.getLogger(__name__)

MOST_CLIENTS = 64
_PATIENCE = 5.0
"""Seconds for a greeting, for the rest of a message, and for an answer to be taken."""
_OPEN = 10
"""Times `idle` for which a client may be silent before the server ends in spite of it."""
_TICK = 0.5
"""Seconds between looks at the clock."""


class Server(Closing):
    """Answers clients until it is stopped, or nobody has wanted anything for a while.

    Args: place: where to listen, closed with this.
          idle: seconds without a client after which it ends; 0: never.
          threads: frames worked on at the same time.
    """

    def __init__(self, place: Place, *, idle: float = 60.0, threads: int = 1) -> None:
        self._place = place
        self.path = place.path
        self._idle = idle
        self.workshop = Workshop(threads)
        self._wake, self._stopper = socket.socketpair()
        self._lock = threading.Lock()
        self._clients: dict[threading.Thread, Channel] = {}
        self._last = time.monotonic()
        self._stopping = False
        self.ended = False
        """`run` has returned, or is about to."""
        self._loader: threading.Thread | None = None

    def run(self) -> None:
        """Serve; returns when it is time to end."""
        try:
            self._serve()
        finally:
            self.ended = True

    def _serve(self) -> None:
        while not self._stopping:
            ready, _, _ = select.select([self._place.listener, self._wake], [], [], _TICK)
            if self._place.listener in ready:
                self._accept()
            elif self._wake in ready:
                break
            elif self._tired():
                _log.info("nobody has wanted anything for a while: ending")
                break

    def preload(self, model: str) -> None:
        """Load a model while the first clients are already answered."""
        self._loader = threading.Thread(target=self._load, args=(model,), daemon=True)
        self._loader.start()

    def stop(self) -> None:
        """Let `run` return soon; may be called from a signal handler or another thread."""
        self._stopping = True
        with suppress(OSError):
            self._stopper.send(b"x")

    def close(self) -> None:
        """End all conversations, and remove the socket."""
        self._place.close()
        with self._lock:
            open_ones = dict(self._clients)
        for channel in open_ones.values():
            channel.hang_up()
        for thread in open_ones:
            thread.join(60)
        if self._loader is not None:
            self._loader.join(60)
        self.workshop.close()
        self._wake.close()
        self._stopper.close()

    def _load(self, model: str) -> None:
        try:
            self.workshop.preload(model)
        except CrsrError as error:
            _log.warning("%s", error)  # Clients that need it will be told.

    def _tired(self) -> bool:
        with self._lock:
            limit = self._idle * (_OPEN if self._clients else 1)
            return self._idle > 0 and time.monotonic() - self._last > limit

    def _accept(self) -> None:
        try:
            link, _ = self._place.listener.accept()
        except OSError:  # It has gone again, or there is no descriptor left for now.
            time.sleep(0.01)
            return
        channel = Channel(link, _PATIENCE)
        try:
            if channel.peer() != os.getuid():
                raise ServerError("somebody else")
            with self._lock:
                busy = len(self._clients) >= MOST_CLIENTS
            if busy:
                _refuse(channel, Code.BUSY, f"the server has {MOST_CLIENTS} clients already")
                raise ServerError("too many")
        except (ServerError, OSError):
            channel.close()
            return
        thread = threading.Thread(target=self._converse, args=(channel,), daemon=True)
        with self._lock:
            self._clients[thread] = channel
        thread.start()

    def _converse(self, channel: Channel) -> None:
        """One client, until it leaves or talks nonsense."""
        try:
            with channel, Session(self.workshop) as session:
                self._answer_all(channel, session)
        except (ProtocolError, OSError) as error:
            _log.info("a client is gone: %s", error)
        except VersionError as error:
            _log.info("a client of another version: %s", error)
        except Exception:
            _log.warning("a conversation failed", exc_info=True)
        finally:
            with self._lock:
                self._clients.pop(threading.current_thread(), None)
                self._last = time.monotonic()

    def _answer_all(self, channel: Channel, session: Session) -> None:
        wait: float | None = _PATIENCE
        while True:
            sequence = 0
            try:
                got = channel.receive(wait)
                if got is None:
                    return
                header, payload, descriptors = got
                sequence = header.sequence
                try:
                    request = requests.request(header.kind, payload)
                except ProtocolError:
                    for descriptor in descriptors:
                        os.close(descriptor)
                    raise
                answer = session.answer(request, descriptors)
            except VersionError as error:
                _refuse(channel, Code.VERSION, str(error), sequence)
                raise
            except ProtocolError as error:
                _refuse(channel, Code.PROTOCOL, str(error), sequence)
                raise
            if isinstance(request, Enhance):
                self._last = time.monotonic()
            channel.send(Kind(answer.kind), sequence, answer.pack())
            wait = None


def _refuse(channel: Channel, code: Code, words: str, sequence: int = 0) -> None:
    with suppress(OSError):
        channel.send(Kind.ERROR, sequence, Refusal(code, words).pack())
