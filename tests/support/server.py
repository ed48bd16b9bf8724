"""A server in a thread, and raw connections to it."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from crsr_video.server.protocol import (
    Answer,
    Header,
    Hello,
    MessageKind,
    Request,
    pack,
    unpack_answer,
)
from crsr_video.server.service import Server
from crsr_video.server.transport import ServerSocket


@contextmanager
def folder() -> Iterator[Path]:
    """A private folder whose name leaves room for a socket's."""
    path = Path(tempfile.mkdtemp(prefix="crsr-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def serving(path: Path, **options) -> Iterator[Server]:
    """A server at that path, in a thread that is joined."""
    with Server(ServerSocket(path), **options) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(30)
            assert not thread.is_alive()


def portrait(dx: float = 0.0, width: int = 320, height: int = 240) -> np.ndarray:
    """Return an RGBA picture of a soft face 66 pixels wide, with an alpha that must be kept."""
    matrix = np.array([[0.75, 0, dx - 8.0], [0, 0.75, 13.0]])
    soft = cv2.GaussianBlur(data.astronaut(), (0, 0), 2.5)
    rgb = cv2.warpAffine(soft, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=1)
    alpha = np.arange(width * height).reshape(height, width, 1) % 251
    return np.concatenate([rgb, alpha.astype(np.uint8)], -1)


def face_area(picture: np.ndarray) -> np.ndarray:
    """Return a mask of the area in which the portrait may change, (H, W), with hair and chin."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return np.hypot(x - 160, y - 105) < 80


class Raw:
    """A connection that can send any bytes."""

    def __init__(self, path: Path, *, greeted: bool = True) -> None:
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.link.settimeout(30)
        self.link.connect(str(path))
        if greeted:
            assert self.ask(Hello("test")).kind == MessageKind.WELCOME

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def send(self, request: Request, sequence: int = 1, descriptors: tuple[int, ...] = ()) -> None:
        message = pack(MessageKind(request.kind), sequence, request.pack())
        if descriptors:
            socket.send_fds(self.link, [message], list(descriptors))
        else:
            self.link.sendall(message)

    def ask(self, request: Request, descriptors: tuple[int, ...] = ()) -> Answer:
        self.send(request, 7, descriptors)
        found = self.heard()
        assert found is not None
        return found

    def heard(self) -> Answer | None:
        """Return the next answer, or None if the server has closed the connection."""
        head = self._exactly(16)
        if head is None:
            return None
        header = Header.unpack(head)
        payload = self._exactly(header.length)
        assert payload is not None
        return unpack_answer(header.kind, payload)

    def _exactly(self, size: int) -> bytes | None:
        found = b""
        while len(found) < size:
            try:
                part = self.link.recv(size - len(found))
            except ConnectionResetError:
                return None
            if not part:
                return None
            found += part
        return found
