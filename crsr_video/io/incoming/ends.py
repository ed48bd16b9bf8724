"""Whether raw video ends with a whole frame; FFmpeg says nothing about one that is cut off."""

from crsr_video.io.pyav import Packet

_HEADER = len(b"FRAME\n")


class RawEnd:
    """Follows the packets of raw or Y4M video.

    Args: name: FFmpeg's name of the format; of others nothing is known.
          whole: bytes of a raw frame.
    """

    def __init__(self, name: str, whole: int = 0) -> None:
        self._raw, self._y4m = name == "rawvideo", name == "yuv4mpegpipe"
        self._last: tuple[int, int] | None = None
        self._header = _HEADER
        self._whole = whole
        self._cut = 0

    def is_cut(self, packet: Packet) -> bool:
        """Look at a packet of the video; whether it is less than a frame."""
        if not (self._raw or self._y4m) or not packet.size:
            return False
        if self._whole and packet.size < self._whole:
            self._cut = packet.size
            return True
        self._whole = packet.size
        if self._last is not None and packet.pos is not None and self._y4m:
            self._header = packet.pos - sum(self._last)
        self._last = (packet.pos or 0, packet.size)
        return False

    def missing(self, total: int) -> str | None:
        """What is wrong with the end, in words; None: nothing.

        Args: total: bytes of the stream.
        """
        if self._y4m and self._last is not None:
            self._cut = total - sum(self._last)
        if self._cut <= 0:
            return None
        return f"the last frame is cut off: {self._cut} of {self._frame_bytes} bytes"

    @property
    def _frame_bytes(self) -> int:
        return self._whole + (self._header if self._y4m else 0)
