"""Ask a server, from Python.

with Client() as client:
    better = client.enhance(picture)  # uint8 (H, W, 4) RGBA, or (H, W, 3) RGB
"""

import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.errors import ProtocolError, ServerError, VersionError
from crsr_video.server import answers, requests
from crsr_video.server.answers import Answer, Code, Done, Refusal, Told
from crsr_video.server.channel import Channel
from crsr_video.server.memory import SharedFrame
from crsr_video.server.places import check_folder, socket_path
from crsr_video.server.requests import Buffer, Enhance, Hello, Request, Settings
from crsr_video.server.wire import Kind

Picture = NDArray[np.uint8]

_STEP = 0.05
"""Seconds between two attempts to reach a server that is starting."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a frame."""

    picture: Picture
    """Of the shape that was given."""
    changed: bool
    seen: int
    """Faces."""
    enhanced: int
    notice: str
    """What the user should know; mostly nothing."""


class Client(Closing):
    """A connection to the server; to be closed, or used as a context manager. For one thread.

    Args:   settings: what is to be done; `change` gives others later.
            path: of the socket; None: where this user's server is, see `places.socket_path`.
            command: starts a server if there is none, with ``--socket PATH`` added; None: this
            Python's own ``-m crsr_video serve``; empty: nothing is started.
            timeout: seconds for a frame; start_timeout: for the server to start and load.
    Raises: ServerError: there is no server, it is somebody else's, or it refuses the settings.
            VersionError: it is of another version.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        path: str | Path | None = None,
        command: Sequence[str] | None = None,
        timeout: float = 60.0,
        start_timeout: float = 120.0,
    ) -> None:
        self.path = socket_path(path)
        self._timeout = timeout
        self._sequence = 0
        self._frame: SharedFrame | None = None
        link = self._connect(command, start_timeout)
        self._channel = Channel(link, timeout)
        try:
            if self._channel.peer() != os.getuid():
                raise ServerError(f"{self.path}: the server there is somebody else's")
            self.server_version = self._told(Hello("python"), start_timeout)
            self.change(settings or Settings(), timeout=start_timeout)
        except BaseException:
            self.close()
            raise

    def change(self, settings: Settings, *, timeout: float | None = None) -> str:
        """Other settings from the next frame on; what the server has to say of them.

        Raises: ServerError: they cannot be used.
        """
        return self._told(settings, timeout)

    def enhance(self, picture: Picture, seconds: float = math.nan) -> Picture:
        """A picture with its faces enhanced.

        Args:   picture: uint8 (H, W, 4) RGBA or (H, W, 3) RGB; it stays as it is.
                seconds: its time, for the log.
        Raises: ServerError. ValueError: the array is anything else.
        """
        return self.process(picture, seconds).picture

    def process(self, picture: Picture, seconds: float = math.nan) -> Result:
        """As `enhance`, and what was found."""
        _check(picture)
        height, width, channels = picture.shape
        shared = self._shared(width, height)
        shared.picture[..., :channels] = picture
        answer = self._ask(Enhance(seconds))
        if not isinstance(answer, Done):
            raise ProtocolError(f"{self.path}: the server gave the wrong answer")
        result = shared.picture[..., :channels].copy()
        return Result(result, answer.changed, answer.seen, answer.enhanced, answer.notice)

    def close(self) -> None:
        """Leave."""
        self._channel.close()
        if self._frame is not None:
            self._frame.close()
            self._frame = None

    def _shared(self, width: int, height: int) -> SharedFrame:
        """Memory for frames of that size."""
        shape = Buffer(width, height)
        if self._frame is None or self._frame.shape != shape:
            frame, descriptor = SharedFrame.made(shape)
            try:
                self._ask(shape, descriptor=descriptor)
            except BaseException:
                frame.close()
                raise
            finally:
                os.close(descriptor)
            if self._frame is not None:
                self._frame.close()
            self._frame = frame
            self._frame.picture[..., 3] = 255
        return self._frame

    def _told(self, request: Request, timeout: float | None) -> str:
        answer = self._ask(request, timeout=timeout)
        if not isinstance(answer, Told):
            raise ProtocolError(f"{self.path}: the server gave the wrong answer")
        return answer.words

    def _ask(
        self, request: Request, *, descriptor: int = -1, timeout: float | None = None
    ) -> Answer:
        """Send a request and wait for its answer.

        Raises: ServerError, VersionError.
        """
        self._sequence += 1
        try:
            self._channel.send(
                Kind(request.kind), self._sequence, request.pack(), descriptor=descriptor
            )
            got = self._channel.receive(timeout or self._timeout)
        except TimeoutError as error:
            raise ServerError(f"{self.path}: the server does not answer") from error
        except OSError as error:
            raise ServerError(f"{self.path}: the server has gone: {error.strerror}") from error
        if got is None:
            raise ServerError(f"{self.path}: the server has gone")
        header, payload, _ = got
        answer = answers.answer(header.kind, payload)
        if isinstance(answer, Refusal):
            kind = VersionError if answer.code == Code.VERSION else ServerError
            raise kind(f"the server refuses: {answer.words}")
        if header.sequence != self._sequence:
            raise ProtocolError(f"{self.path}: the server answered another question")
        return answer

    def _connect(self, command: Sequence[str] | None, timeout: float) -> socket.socket:
        """A connected socket.

        Raises: ServerError: there is no server, and none comes up in time.
        """
        link = _reached(self.path)
        if link is not None:
            return link
        if command is None:
            command = [sys.executable, "-m", "crsr_video", "serve"]
        if not command:
            raise ServerError(f"{self.path}: no server is there")
        check_folder(self.path.parent)
        _start([*command, "--socket", str(self.path)], self.path)
        end = time.monotonic() + timeout
        while link is None and time.monotonic() < end:
            time.sleep(_STEP)
            link = _reached(self.path)
        if link is None:
            raise ServerError(f"the server did not start: {self.path}.log may say why")
        return link


def _check(picture: Picture) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise ValueError(f"a picture is uint8 (H, W, 3 or 4), not {picture.dtype} {picture.shape}")
    height, width = picture.shape[:2]
    if not (0 < height <= requests.MAX_SIDE and 0 < width <= requests.MAX_SIDE):
        raise ValueError(f"a picture of {width}x{height} pixels is empty or too large")


def _reached(path: Path) -> socket.socket | None:
    """A connection, if somebody listens."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        link.close()
        return None
    except OSError as error:
        link.close()
        raise ServerError(f"{path}: cannot be reached: {error.strerror}") from error
    return link


def _start(command: Sequence[str], path: Path) -> None:
    """Start a server that outlives us and is nobody's child."""
    with suppress(OSError):
        subprocess.run(
            ["/bin/sh", "-c", '"$@" >>"$0" 2>&1 </dev/null &', f"{path}.log", *command],
            start_new_session=True,
            check=False,
        )
