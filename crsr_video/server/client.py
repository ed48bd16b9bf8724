"""Python client of the server that enhances frames.

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

from crsr_video.closing import Closing
from crsr_video.errors import ProtocolError, ServerError, VersionError
from crsr_video.server.protocol import (
    MAX_SIDE,
    Answer,
    Buffer,
    EffectSettings,
    Enhance,
    FrameDone,
    Hello,
    MessageKind,
    Refusal,
    RefusalCode,
    Request,
    TextAnswer,
    unpack_answer,
)
from crsr_video.server.transport import (
    MessageConnection,
    Picture,
    SharedFrame,
    check_folder,
    socket_path,
)

_RETRY_SECONDS = 0.05
"""Interval between two attempts to reach a server that is starting."""


@dataclass(frozen=True, slots=True)
class EnhancedPicture:
    """An enhanced picture.

    Attributes:
        picture: The enhanced picture, in the shape of the original one.
        changed: Whether any pixel may differ from the original picture.
        seen: Number of faces in the picture.
        enhanced: Number of faces that were enhanced.
        notice: Notice for the user, if any.
    """

    picture: Picture
    changed: bool
    seen: int
    enhanced: int
    notice: str


class Client(Closing):
    """A connection to the server, for one thread. Close it, or use it as a context manager.

    Args:
        settings: How pictures are enhanced. `change` replaces them later.
        path: Path of the socket. Defaults to the socket of the user's server; see `socket_path`.
        command: Command that starts a server if there is none; ``--socket PATH`` is added. Defaults
            to this Python with ``-m crsr_video serve``. If it is empty, no server is started.
        timeout: Seconds that a frame may take.
        start_timeout: Seconds that the server may take to start and to load a model.

    Raises:
        ServerError: There is no server, it belongs to another user, or it refuses the settings.
        VersionError: The server has another version.
    """

    def __init__(
        self,
        settings: EffectSettings | None = None,
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
        self._connection = MessageConnection(self._connect(command, start_timeout), timeout)
        try:
            if self._connection.peer_uid() != os.getuid():
                raise ServerError(f"{self.path}: the server there belongs to another user")
            self.server_version = self._ask_text(Hello("python"), start_timeout)
            self.change(settings or EffectSettings(), timeout=start_timeout)
        except BaseException:
            self.close()
            raise

    def change(self, settings: EffectSettings, *, timeout: float | None = None) -> str:
        """Use other settings from the next picture on, and return the server's notice, or "".

        Raises:
            ServerError: The settings cannot be used.
        """
        return self._ask_text(settings, timeout)

    def enhance(self, picture: Picture, seconds: float = math.nan) -> Picture:
        """Return a picture with its faces enhanced.

        Args:
            picture: uint8 (H, W, 4) RGBA or (H, W, 3) RGB. It is not modified.
            seconds: Time of the picture in seconds, for the log.

        Raises:
            ServerError: The server has gone, or could not enhance the picture.
            ValueError: The array has another type or shape, or is empty or too large.
        """
        return self.process(picture, seconds).picture

    def process(self, picture: Picture, seconds: float = math.nan) -> EnhancedPicture:
        """Enhance a picture like `enhance`, and return counts of faces with it."""
        _check_picture(picture)
        height, width, channels = picture.shape
        shared = self._shared_frame(width, height)
        shared.picture[..., :channels] = picture
        answer = self._ask(Enhance(seconds))
        if not isinstance(answer, FrameDone):
            raise ProtocolError(f"{self.path}: the server gave an unexpected answer")
        result = shared.picture[..., :channels].copy()
        return EnhancedPicture(result, answer.changed, answer.seen, answer.enhanced, answer.notice)

    def close(self) -> None:
        """Disconnect from the server, and free the shared memory."""
        self._connection.close()
        if self._frame is not None:
            self._frame.close()
            self._frame = None

    def _shared_frame(self, width: int, height: int) -> SharedFrame:
        """Return memory for frames of this size that is shared with the server."""
        shape = Buffer(width, height)
        if self._frame is None or self._frame.shape != shape:
            frame, descriptor = SharedFrame.create(shape)
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

    def _ask_text(self, request: Request, timeout: float | None) -> str:
        answer = self._ask(request, timeout=timeout)
        if not isinstance(answer, TextAnswer):
            raise ProtocolError(f"{self.path}: the server gave an unexpected answer")
        return answer.text

    def _ask(
        self, request: Request, *, descriptor: int = -1, timeout: float | None = None
    ) -> Answer:
        """Send a request, and return its answer."""
        self._sequence += 1
        try:
            self._connection.send(
                MessageKind(request.kind), self._sequence, request.pack(), descriptor=descriptor
            )
            received = self._connection.receive(timeout or self._timeout)
        except TimeoutError as error:
            raise ServerError(f"{self.path}: the server does not answer") from error
        except OSError as error:
            raise ServerError(f"{self.path}: the server has gone: {error.strerror}") from error
        if received is None:
            raise ServerError(f"{self.path}: the server has gone")
        header, payload, _ = received
        answer = unpack_answer(header.kind, payload)
        if isinstance(answer, Refusal):
            kind = VersionError if answer.code == RefusalCode.VERSION else ServerError
            raise kind(f"the server refuses: {answer.message}")
        if header.sequence != self._sequence:
            raise ProtocolError(f"{self.path}: the server answered another request")
        return answer

    def _connect(self, command: Sequence[str] | None, timeout: float) -> socket.socket:
        """Return a connected socket, after starting a server if there is none."""
        link = _try_connect(self.path)
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
            time.sleep(_RETRY_SECONDS)
            link = _try_connect(self.path)
        if link is None:
            raise ServerError(f"the server did not start: {self.path}.log may say why")
        return link


def _check_picture(picture: Picture) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise ValueError(
            f"a picture is uint8 (H, W, 3) or (H, W, 4), not {picture.dtype} {picture.shape}"
        )
    height, width = picture.shape[:2]
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise ValueError(f"a picture of {width}x{height} pixels is empty or too large")


def _try_connect(path: Path) -> socket.socket | None:
    """Return a connected socket, or None if no server is listening."""
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
    """Start a server that is not a child of this process and keeps running after it."""
    with suppress(OSError):
        subprocess.run(
            ["/bin/sh", "-c", '"$@" >>"$0" 2>&1 </dev/null &', f"{path}.log", *command],
            start_new_session=True,
            check=False,
        )
