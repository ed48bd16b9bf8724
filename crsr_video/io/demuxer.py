"""Packets of a file in their order, over damage, and whether the file ends where it should."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from av.error import FFmpegError

from crsr_video.io import pyav
from crsr_video.io.damage import tame
from crsr_video.io.epochs import JUMPING, Epochs
from crsr_video.io.integrity import falls_short, overruns
from crsr_video.io.opened import Opened
from crsr_video.io.pyav import Packet
from crsr_video.io.source import Ahead, packets_of
from crsr_video.io.window import time_of

_MOST_FAILURES = 3
"""Errors in a row, until nothing more is expected."""


class Demuxer:
    """Reads what was opened, once.

    Args: note: takes a line that the user should read.
    """

    def __init__(self, opened: Opened, note: Callable[[str], None]) -> None:
        self._opened, self._note = opened, note
        self.truncated = False
        """The file ends before it should."""
        self._reached: Fraction | None = None
        self._read_to = 0
        self._corrupt_tail = False
        jumping = opened.container.format.name in JUMPING
        self._epochs = Epochs() if jumping else None
        self._packets: Iterable[Packet] = self._demuxed()
        self.beginnings: dict[int, bytes] | None = None
        """A packet of every stream but the video, by index; None: the file can be read again."""
        if opened.inlet is not None:
            ahead = Ahead(self._demuxed())
            self.beginnings = ahead.beginnings(opened.container, opened.video)
            self._packets = ahead

    def __iter__(self) -> Iterator[Packet]:
        """Packets of all streams."""
        return iter(self._packets)

    def _demuxed(self) -> Iterator[Packet]:
        """Demux; after an error go on, as long as that brings anything."""
        failures = 0
        while failures < _MOST_FAILURES:
            try:
                for packet in packets_of(self._opened.container):
                    if packet.size == 0 and packet.dts is None:
                        break  # What PyAV sends when the file has ended.
                    failures = 0
                    tame(packet)
                    if self._epochs is not None:
                        self._epochs.move(packet)
                    self._follow(packet)
                    if packet.size:
                        yield packet
                if self._opened.inlet is not None:
                    self._opened.inlet.check()
                return
            except FFmpegError as error:
                self._note(f"the file is damaged: {pyav.reason(error)}")
                self.truncated = True
                failures += 1

    def _follow(self, packet: Packet) -> None:
        """Keep in mind how far the file has been read."""
        time = time_of(packet)
        if time is not None:
            end = time + (packet.duration or 0) * packet.time_base
            self._reached = end if self._reached is None else max(self._reached, end)
        self._read_to = (packet.pos or 0) + packet.size
        self._corrupt_tail = bool(packet.is_corrupt)

    def judge_end(self, *, whole: bool) -> None:
        """Decide whether the file was cut off: FFmpeg ends without a word.

        Args: whole: it was to be read to its end.
        """
        if self._epochs is not None and self._epochs.jumps:
            self._note("the clock starts again, as where recordings were joined: times go on")
        container, video = self._opened.container, self._opened.video
        ends, size = self._opened.ends()
        if self._corrupt_tail or overruns(container, video, ends, size, self._read_to):
            self.truncated = True
        if whole and falls_short(container, self._reached):
            self.truncated = True
        if self.truncated:
            self._note("the file ends before it should")
