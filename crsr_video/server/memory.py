"""Memory that a client shares: a frame in it is read and written where it lies."""

import array
import contextlib
import fcntl
import mmap
import os
import socket
from typing import Self

import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.errors import ServerError
from crsr_video.server.requests import Buffer

_SEALS = getattr(fcntl, "F_SEAL_SHRINK", 0x2) | getattr(fcntl, "F_SEAL_SEAL", 0x1)
_GET_SEALS = getattr(fcntl, "F_GET_SEALS", 1034)
_ADD_SEALS = getattr(fcntl, "F_ADD_SEALS", 1033)

Picture = NDArray[np.uint8]


class SharedFrame(Closing):
    """One frame that two processes see: `picture`, uint8 (H, W, 4) RGBA."""

    def __init__(self, descriptor: int, shape: Buffer) -> None:
        """Map it; the descriptor is the caller's still.

        Raises: ServerError: it is too small, or could be shrunk while it is in use, which would
                kill whoever reads there.
        """
        try:
            seals = fcntl.fcntl(descriptor, _GET_SEALS)
            size = os.fstat(descriptor).st_size
        except OSError as error:
            raise ServerError("frames must come in memory of memfd_create") from error
        if seals & _SEALS != _SEALS:
            raise ServerError("the memory of frames must be sealed against shrinking")
        if size < shape.size:
            raise ServerError(f"the memory has {size} bytes, and a frame {shape.size}")
        try:
            self._map = mmap.mmap(descriptor, shape.size)
        except (OSError, ValueError) as error:
            raise ServerError("the memory of frames cannot be mapped") from error
        self.shape = shape
        flat = np.frombuffer(self._map, np.uint8)
        self.picture: Picture = flat.reshape(shape.height, shape.width, 4)

    @classmethod
    def made(cls, shape: Buffer) -> "tuple[Self, int]":
        """New memory for frames of that shape, and its descriptor, to be sent and closed.

        Raises: ServerError: there is none.
        """
        try:
            descriptor = os.memfd_create("crsr-video", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except (AttributeError, OSError) as error:
            raise ServerError("there is no shared memory of this kind here") from error
        try:
            os.ftruncate(descriptor, shape.size)
            fcntl.fcntl(descriptor, _ADD_SEALS, _SEALS | getattr(fcntl, "F_SEAL_GROW", 0x4))
            return cls(descriptor, shape), descriptor
        except OSError as error:
            os.close(descriptor)
            raise ServerError(f"no memory for a frame: {error.strerror}") from error

    def close(self) -> None:
        """Unmap it, unless somebody still looks at the picture: then that happens later."""
        self.picture = np.empty((0, 0, 4), np.uint8)
        with contextlib.suppress(BufferError):
            self._map.close()


def descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """What `socket.recvmsg` got besides bytes, as descriptors; they are the caller's to close."""
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)
