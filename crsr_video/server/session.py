"""One client's conversation: an answer to each request."""

import logging
import os
from contextlib import ExitStack, suppress

from crsr_video import __version__
from crsr_video.closing import Closing
from crsr_video.errors import CrsrError, ProtocolError
from crsr_video.server.answers import Answer, Code, Refusal, Told
from crsr_video.server.instance import Instance
from crsr_video.server.memory import SharedFrame
from crsr_video.server.requests import Buffer, Enhance, Hello, Request, Settings
from crsr_video.server.wire import Kind
from crsr_video.server.workshop import Workshop

_log = logging.getLogger(__name__)


class Session(Closing):
    """What is held for one client; gone when it leaves."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._name: str | None = None
        self._frame: SharedFrame | None = None
        self._instance: Instance | None = None
        self._refused = "no settings were given"

    def answer(self, request: Request, descriptors: list[int]) -> Answer:
        """Do what is asked.

        Args:   descriptors: that came with it; they are closed in any case.
        Raises: ProtocolError: not now, or not like this: the conversation is over.
        """
        with ExitStack() as stack:
            for descriptor in descriptors:
                stack.callback(_close, descriptor)
            if len(descriptors) != isinstance(request, Buffer):
                raise ProtocolError("one descriptor travels with a buffer, and with nothing else")
            if isinstance(request, Hello) != (self._name is None):
                raise ProtocolError("a conversation begins with one greeting")
            match request:
                case Hello():
                    self._name = request.name
                    _log.info("%s: connected", request.name)
                    return Told(Kind.WELCOME, __version__)
                case Buffer():
                    return self._take_buffer(request, descriptors[0])
                case Settings():
                    return self._take_settings(request)
                case Enhance():
                    return self._enhance()

    def close(self) -> None:
        """Forget the client."""
        self._drop_instance()
        self._drop_frame()
        if self._name is not None:
            _log.info("%s: left", self._name)

    def _take_buffer(self, shape: Buffer, descriptor: int) -> Answer:
        self._drop_frame()
        try:
            self._workshop.claim(shape.size)
            try:
                self._frame = SharedFrame(descriptor, shape)
            except CrsrError:
                self._workshop.claim(-shape.size)
                raise
        except CrsrError as error:
            return Refusal(Code.BUFFER, str(error))
        return Told(Kind.OK, "")

    def _take_settings(self, settings: Settings) -> Answer:
        if self._instance is not None and self._instance.change(settings):
            return Told(Kind.OK, "")
        self._drop_instance()
        try:
            self._instance = Instance(self._workshop, settings)
        except CrsrError as error:
            self._refused = str(error)
            return Refusal(Code.SETTINGS, self._refused)
        notice = ""
        if settings.persons and not settings.tracks and not settings.wishes:
            notice = "persons have lasting numbers only together with a tracks file"
        return Told(Kind.OK, notice)

    def _enhance(self) -> Answer:
        if self._frame is None:
            raise ProtocolError("a frame is to be enhanced, but there is no memory with one")
        if self._instance is None:
            return Refusal(Code.SETTINGS, self._refused)
        try:
            return self._instance.enhance(self._frame.picture)
        except Exception as error:
            # The picture is written to last, so it is as it was; the others must not suffer.
            _log.warning("%s: a frame failed", self._name, exc_info=True)
            return Refusal(Code.FAILED, f"{type(error).__name__}: {error}")

    def _drop_instance(self) -> None:
        if self._instance is not None:
            self._instance.close()
            self._instance = None

    def _drop_frame(self) -> None:
        if self._frame is not None:
            self._workshop.claim(-self._frame.shape.size)
            self._frame.close()
            self._frame = None


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)
