"""One pass over a file: frames and other streams' packets in the order of the file."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from fractions import Fraction

from av.stream import Disposition

from crsr_video.io.decoding import Decoding
from crsr_video.io.demuxer import Demuxer
from crsr_video.io.opened import Opened
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.window import Window, time_of
from crsr_video.types import Frame


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What reading came to."""

    frames: int
    """Frames that came out."""
    concealed: int
    """Of those, frames that the decoder had to patch up."""
    damaged: int
    """Packets that could not be decoded at all."""
    made_up: int
    """Frames whose time was missing or ran backwards, and was put right."""
    truncated: bool
    """The file ends before it should."""
    notes: tuple[str, ...]
    """Conversions and the like, in words."""


class Reading:
    """Reads from where the file stands, once.

    Args: form: (width, height, pixel format) that all frames are to have; None: the first one's.
          note: takes a line that the user should read.
    """

    def __init__(
        self,
        opened: Opened,
        window: Window,
        form: tuple[int, int, str] | None,
        note: Callable[[str], None],
    ) -> None:
        self._opened, self._window = opened, window
        self._decoding = Decoding(opened, window, form, note)
        self._demuxer = Demuxer(opened, note)
        self.covers: dict[int, Packet] = {}
        """Cover pictures so far, by stream."""
        self.beginnings = self._demuxer.beginnings
        """As of `Demuxer`."""
        self.only_others = False
        """Set it where no frame is wanted any more, and nothing more is to be decoded."""
        self.items = self._read()
        """Everything that is wanted."""

    @property
    def is_early(self) -> bool:
        """Whether it began where it should: at the window's begin, or before."""
        return self._decoding.is_early

    def report(self, notes: tuple[str, ...]) -> ReadReport:
        """What it came to so far."""
        return ReadReport(
            self._decoding.frames,
            self._decoding.concealed,
            self._decoding.damaged,
            self._decoding.made_up,
            self._demuxer.truncated,
            notes,
        )

    def why_nothing(self) -> str:
        """Why there is no frame, as far as that can be told.

        Raises: InputError: whoever sends it has failed.
        """
        inlet, container = self._opened.inlet, self._opened.container
        if inlet is not None:
            inlet.check()
            if container.format.name == "rawvideo":
                return f"its {inlet.received} bytes do not fill one frame of that size"
            if container.format.name.startswith("mov") and not self._decoding.frames:
                return (
                    "no picture could be decoded: MP4 goes through a pipe only with its index in"
                    " front (-movflags +faststart); give the file's name, or use NUT"
                )
        begin = self._window.begin
        where = f" after {float(begin):g} s" if begin and self._decoding.saw_any else ""
        return f"no picture could be decoded{where}"

    def _read(self) -> Generator[Frame | Passthrough]:
        decoding, window = self._decoding, self._window
        for packet in self._demuxer:
            time = time_of(packet)
            decoding.done = decoding.done or self.only_others
            if decoding.done and window.is_long_over(time):
                return  # And so is everything interleaved with it.
            if packet.stream_index != self._opened.video.index:
                if self._is_wanted(packet, time):
                    window.move(packet)
                    yield Passthrough(packet.stream_index, packet)
            elif not decoding.done:
                yield from decoding.push(packet)
        if not decoding.done:
            yield from decoding.flush()
        decoding.tell()
        self._demuxer.judge_end(whole=window.end is None)

    def _is_wanted(self, packet: Packet, time: Fraction | None) -> bool:
        """Whether a packet of another stream is to come out; cover pictures are kept apart."""
        stream = self._opened.container.streams[packet.stream_index]
        if stream.disposition & Disposition.attached_pic:
            self.covers[packet.stream_index] = packet
            return False
        return self._window.holds(time)
