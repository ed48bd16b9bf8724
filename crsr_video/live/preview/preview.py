"""The preview as the run that feeds it sees it."""

import json
from collections.abc import Mapping
from typing import Any

from crsr_video.closing import Closing
from crsr_video.live.preview.board import Board
from crsr_video.live.preview.pictures import Pictures
from crsr_video.live.preview.web import HOST, Web
from crsr_video.types import Frame


class Preview(Closing):
    """A page on this machine; a context manager that serves until it is left.

    Args:   port: of the loopback interface; 0: any that is free.
    Raises: OutputError: the port is taken or may not be used.
    """

    url: str
    """What to open in a browser."""

    def __init__(self, port: int = 0) -> None:
        self._board = Board()
        self._web = Web(port, self._board)
        self._pictures = Pictures(self._board)
        self.url = f"http://{HOST}:{self._web.port}/"

    def show(self, before: Frame, after: Frame) -> None:
        """A frame is finished; it is dropped if nobody waits for a picture just now."""
        self._pictures.offer(before, after)

    def tell(self, statistics: Mapping[str, Any]) -> None:
        """How the run keeps up; plain values, as of `LiveStatistics.as_json`."""
        self._board.tell(json.dumps(statistics, allow_nan=False, default=str).encode())

    def close(self) -> None:
        """Tell those who watch that the stream has ended, and stop; may be called twice."""
        self._board.end()
        self._pictures.close()
        self._web.close()
