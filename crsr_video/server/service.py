"""The enhancement server of one user, with a thread and a conversation for each client."""

import logging
import os
import select
import socket
import threading
import time
from contextlib import ExitStack, suppress

from crsr_video._version import __version__
from crsr_video.closing import Closing
from crsr_video.errors import CrsrError, ProtocolError, ServerError, VersionError
from crsr_video.server.frame_enhancer import FrameEnhancer
from crsr_video.server.protocol import (
    Answer,
    Buffer,
    EffectSettings,
    Enhance,
    Hello,
    MessageKind,
    Refusal,
    RefusalCode,
    Request,
    TextAnswer,
    unpack_request,
)
from crsr_video.server.shared_models import SharedModels
from crsr_video.server.transport import MessageConnection, ServerSocket, SharedFrame

_LOG = logging.getLogger(__name__)

MAX_CLIENTS = 64
MESSAGE_SECONDS = 5.0
"""Timeout for receiving a greeting or the rest of a message, and for sending an answer."""
_SILENT_FACTOR = 10
"""Multiple of `idle` after which the server ends although silent clients are still connected."""
_TICK_SECONDS = 0.5
"""Interval at which the server checks whether it is idle."""
CLOSING_SECONDS = 15.0
"""Maximum time to wait for unfinished work when the server is closed."""


class Server(Closing):
    """Answers clients until it is stopped, or until it has been idle for some time.

    Args:
        place: The socket to listen on, which is closed together with this object.
        idle: Seconds without a client after which the server ends. 0 means never.
        threads: Number of frames that are enhanced at the same time.
    """

    def __init__(self, place: ServerSocket, *, idle: float = 60.0, threads: int = 1) -> None:
        self._place = place
        self.path = place.path
        self._idle = idle
        self._shared = SharedModels(threads)
        self._wake, self._stopper = socket.socketpair()
        self._lock = threading.Lock()
        self._clients: dict[threading.Thread, MessageConnection] = {}
        self._last_use = time.monotonic()
        self._is_stopping = False
        self.ended = False
        """Whether `run` has returned."""
        self._loader: threading.Thread | None = None

    def run(self) -> None:
        """Serve clients, and return when the server was stopped or has been idle for too long."""
        try:
            self._serve()
        finally:
            self.ended = True

    def preload(self, model: str) -> None:
        """Load a model in a separate thread, so that the first clients need not wait for it."""
        self._loader = threading.Thread(target=self._load, args=(model,), daemon=True)
        self._loader.start()

    def stop(self) -> None:
        """Make `run` return soon. Signal handlers and other threads may call this."""
        self._is_stopping = True
        with suppress(OSError):
            self._stopper.send(b"x")

    def close(self) -> None:
        """End all conversations, and remove the socket."""
        self._place.close()
        with self._lock:
            clients = dict(self._clients)
        for connection in clients.values():
            connection.shut_down()
        end = time.monotonic() + CLOSING_SECONDS
        for thread in (*clients, *([self._loader] if self._loader is not None else [])):
            thread.join(max(0.0, end - time.monotonic()))
        if not self._shared.close_within(max(0.0, end - time.monotonic())):
            _LOG.warning("a frame or a model takes too long: the server ends without it")
        self._wake.close()
        self._stopper.close()

    def _serve(self) -> None:
        listener = self._place.listener
        while not self._is_stopping:
            ready, _, _ = select.select([listener, self._wake], [], [], _TICK_SECONDS)
            if listener in ready:
                self._accept()
            elif self._wake in ready:
                break
            elif self._is_idle():
                _LOG.info("no client has come for a while: the server ends")
                break

    def _load(self, model: str) -> None:
        try:
            self._shared.preload(model)
        except CrsrError as error:
            _LOG.warning("%s", error)  # Clients that need the model get the error as an answer.

    def _is_idle(self) -> bool:
        with self._lock:
            limit = self._idle * (_SILENT_FACTOR if self._clients else 1)
            return self._idle > 0 and time.monotonic() - self._last_use > limit

    def _accept(self) -> None:
        try:
            link, _ = self._place.listener.accept()
        except OSError:  # The client has left already, or there is no free file descriptor.
            time.sleep(0.01)
            return
        connection = MessageConnection(link, MESSAGE_SECONDS)
        try:
            self._check_client(connection)
        except (ServerError, OSError):
            connection.close()
            return
        thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
        with self._lock:
            self._clients[thread] = connection
        thread.start()

    def _check_client(self, connection: MessageConnection) -> None:
        """Refuse clients of other users, and clients beyond the maximum number."""
        if connection.peer_uid() != os.getuid():
            raise ServerError("the client belongs to another user")
        with self._lock:
            is_busy = len(self._clients) >= MAX_CLIENTS
        if is_busy:
            message = f"the server has {MAX_CLIENTS} clients already"
            _refuse(connection, RefusalCode.BUSY, message)
            raise ServerError(message)

    def _converse(self, connection: MessageConnection) -> None:
        """Answer one client until it leaves or sends an invalid message."""
        try:
            with connection, _Conversation(self._shared) as conversation:
                self._answer_all(connection, conversation)
        except (ProtocolError, OSError) as error:
            _LOG.info("a client has gone: %s", error)
        except VersionError as error:
            _LOG.info("a client has another version: %s", error)
        except Exception:
            _LOG.warning("a conversation failed", exc_info=True)
        finally:
            with self._lock:
                self._clients.pop(threading.current_thread(), None)
                self._last_use = time.monotonic()

    def _answer_all(self, connection: MessageConnection, conversation: "_Conversation") -> None:
        wait_seconds: float | None = MESSAGE_SECONDS
        while True:
            sequence = 0
            try:
                received = connection.receive(wait_seconds)
                if received is None:
                    return
                header, payload, descriptors = received
                sequence = header.sequence
                answer = conversation.answer(header.kind, payload, descriptors)
            except VersionError as error:
                _refuse(connection, RefusalCode.VERSION, str(error), sequence)
                raise
            except ProtocolError as error:
                _refuse(connection, RefusalCode.PROTOCOL, str(error), sequence)
                raise
            if header.kind == MessageKind.ENHANCE:
                self._last_use = time.monotonic()
            connection.send(MessageKind(answer.kind), sequence, answer.pack())
            wait_seconds = None


def _refuse(
    connection: MessageConnection, code: RefusalCode, message: str, sequence: int = 0
) -> None:
    with suppress(OSError):
        connection.send(MessageKind.ERROR, sequence, Refusal(code, message).pack())


class _Conversation(Closing):
    """Resources held for one client until it disconnects."""

    def __init__(self, shared: SharedModels) -> None:
        self._shared = shared
        self._name: str | None = None
        self._frame: SharedFrame | None = None
        self._enhancer: FrameEnhancer | None = None
        self._refusal = "no settings were sent"

    def answer(self, kind: int, payload: bytes, descriptors: list[int]) -> Answer:
        """Answer a request. The descriptors that came with it are always closed."""
        with ExitStack() as stack:
            for descriptor in descriptors:
                stack.callback(_close_descriptor, descriptor)
            request = unpack_request(kind, payload)
            if len(descriptors) != isinstance(request, Buffer):
                raise ProtocolError("one descriptor is sent with a buffer, and with nothing else")
            if isinstance(request, Hello) != (self._name is None):
                raise ProtocolError("a conversation begins with one greeting")
            return self._answer(request, descriptors)

    def close(self) -> None:
        """Release everything that was held for the client."""
        self._drop_enhancer()
        self._drop_frame()
        if self._name is not None:
            _LOG.info("%s: left", self._name)

    def _answer(self, request: Request, descriptors: list[int]) -> Answer:
        match request:
            case Hello():
                self._name = request.name
                _LOG.info("%s: connected", request.name)
                return TextAnswer(MessageKind.WELCOME, __version__)
            case Buffer():
                return self._take_buffer(request, descriptors[0])
            case EffectSettings():
                return self._take_settings(request)
            case Enhance():
                return self._enhance()

    def _take_buffer(self, shape: Buffer, descriptor: int) -> Answer:
        self._drop_frame()
        try:
            self._shared.claim_frame_bytes(shape.size)
            try:
                self._frame = SharedFrame(descriptor, shape)
            except CrsrError:
                self._shared.claim_frame_bytes(-shape.size)
                raise
        except CrsrError as error:
            return Refusal(RefusalCode.BUFFER, str(error))
        return TextAnswer(MessageKind.OK, "")

    def _take_settings(self, settings: EffectSettings) -> Answer:
        if self._enhancer is not None and self._enhancer.change(settings):
            return TextAnswer(MessageKind.OK, "")
        self._drop_enhancer()
        try:
            self._enhancer = FrameEnhancer(self._shared, settings)
        except CrsrError as error:
            self._refusal = str(error)
            return Refusal(RefusalCode.SETTINGS, self._refusal)
        notice = ""
        if settings.persons and not settings.tracks and not settings.flags:
            notice = "persons need a tracks file: without one, track IDs change from frame to frame"
        return TextAnswer(MessageKind.OK, notice)

    def _enhance(self) -> Answer:
        if self._frame is None:
            raise ProtocolError("there is no shared memory with a frame to enhance")
        if self._enhancer is None:
            return Refusal(RefusalCode.SETTINGS, self._refusal)
        try:
            return self._enhancer.enhance(self._frame.picture)
        except Exception as error:
            # The result is written into the picture only at the end, so the picture is unchanged.
            # An error of one client must not affect the others.
            _LOG.warning("%s: a frame failed", self._name, exc_info=True)
            return Refusal(RefusalCode.FAILED, f"{type(error).__name__}: {error}")

    def _drop_enhancer(self) -> None:
        if self._enhancer is not None:
            self._enhancer.close()
            self._enhancer = None

    def _drop_frame(self) -> None:
        if self._frame is not None:
            self._shared.claim_frame_bytes(-self._frame.shape.size)
            self._frame.close()
            self._frame = None


def _close_descriptor(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)
