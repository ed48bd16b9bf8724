"""Begin to encode a video at its first changed frame, so that an unchanged one is never encoded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from crsr_video.errors import InputError
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame

MANY_FRAMES = 1000
"""Number of frames from which writing them again takes so long that the user is told."""


class DeferredWriter:
    """Discards frames and packets until a frame was changed, and then reads and writes them again.

    Reading a part of the source twice costs a small part of the time of encoding it, and no memory.

    Args:
        writer: Writes the result.
        source: The file that all frames and packets come from, from its beginning.
        on_frame: Called after each frame that is written again, with their number so far.
        on_notice: Called with a notice if many frames are written again.
    """

    def __init__(
        self,
        writer: Writer,
        source: Path,
        on_frame: Callable[[int], None] = lambda _: None,
        on_notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._writer, self._source = writer, source
        self._on_frame, self._on_notice = on_frame, on_notice
        self._frames = self._packets = 0
        self.is_unchanged = True
        """Whether no frame was changed so far, so that nothing was written."""

    def push(self, frame: Frame) -> None:
        """Write a frame, or discard it if no frame was changed so far."""
        if self.is_unchanged and not frame.edited:
            self._frames += 1
            return
        self.write_discarded()
        self._writer.push(frame)

    def push_packet(self, item: Any) -> None:
        """Write a packet of another stream, or discard it if no frame was changed so far."""
        if self.is_unchanged:
            self._packets += 1
        else:
            self._writer.push_packet(item)

    def write_discarded(self) -> None:
        """Write everything that was discarded so far, and no longer discard anything.

        Raises:
            InputError: The source has less content than before.
        """
        if not self.is_unchanged:
            return
        self.is_unchanged = False
        frames, packets = self._frames, self._packets
        if not (frames or packets):
            return
        if frames >= MANY_FRAMES:
            self._on_notice(f"writing the {frames} frames before the first change")
        with Reader(self._source, threads=1) as reader:  # One thread holds few frames in memory.
            for item in reader:
                if isinstance(item, Frame):
                    if frames:
                        self._writer.push(item)
                        frames -= 1
                        self._on_frame(self._frames - frames)
                elif packets:
                    self._writer.push_packet(item)
                    packets -= 1
                if not (frames or packets):
                    return
            raise InputError(f"{self._source}: was changed while it was read")
