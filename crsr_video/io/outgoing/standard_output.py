"""Standard output as a sink's own."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from crsr_video.errors import OutputError, ReaderGoneError
from crsr_video.io.outgoing.wire import PipeWire


class StandardOutput(PipeWire):
    """Standard output; whatever else is printed goes to standard error from now on.

    A write raises `ReaderGoneError` when the reader has gone away.
    Raises: OutputError: it is a terminal, or closed. ReaderGoneError: the reader has gone already.
    """

    def __init__(self, *, room: int = 0) -> None:
        name = "standard output"
        try:
            if os.isatty(1):
                raise OutputError(
                    f"{name} is a terminal: pipe the video into a program, as in '| ffplay -'"
                )
            self._taken = os.dup(1)
        except OSError as error:
            raise OutputError(f"{name} is closed") from error
        try:
            super().__init__(self._taken, name, room=room)
        except OSError as error:
            os.close(self._taken)
            raise ReaderGoneError(f"{name}: its reader has gone away") from error
        self._redirect()

    def _redirect(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        try:
            os.dup2(2, 1)
        except OSError:  # No standard error either.
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 1)
        if sys.platform == "win32":
            import msvcrt

            msvcrt.setmode(self._number, os.O_BINARY)

    def write(self, data: bytes | memoryview) -> int:
        """Write all of it."""
        try:
            return super().write(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ReaderGoneError(f"{self.name}: its reader has gone away") from error

    def _free(self) -> None:
        super()._free()
        os.close(self._taken)
