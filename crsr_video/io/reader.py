"""Reads a video: its frames as they are decoded, and the packets of its other streams.

    with Reader("input.mp4") as reader:
        for item in reader:
            if isinstance(item, Frame):
                ...

Frames come in presentation order, and their planes are those of the decoder. Packets of audio,
subtitles and data come between the frames, as `Passthrough`, in the order of the file. A damaged
file yields everything that can be read, and `report` lists what was lost.

Standard input is read once and in order. Its packets are read ahead until every stream has begun,
so that a writer can decide what to do with each stream.

`Frame.rotation` is the counter-clockwise rotation that the display matrix requests, in degrees:
``numpy.rot90(plane, rotation // 90)`` is upright. The value is usually 270 for a phone that was
held upright.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from crsr_video.closing import Closing
from crsr_video.config import ReadSettings
from crsr_video.errors import NoVideoError
from crsr_video.io import pipes
from crsr_video.io.packet_clocks import JUMPING_FORMATS
from crsr_video.io.pyav import Passthrough
from crsr_video.io.reading_pass import ReadingPass, ReadReport, earlier_subtitles, position_at
from crsr_video.io.source import RecordedSource, late_templates
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.io.sources.targets import recorded_target
from crsr_video.io.windows import TimeSpan, Window, time_of
from crsr_video.types import Frame, VideoInfo

__all__ = ["Passthrough", "ReadReport", "Reader", "TimeSpan"]

MAX_HELD_BYTES = 256 << 20
"""Maximum number of bytes in packets of other streams that are kept until the first frame."""
_STEPS_BACK_SECONDS = (0, 10, 60)
"""Distances before the wanted time from which reading is tried, in this order, until a keyframe is
found before that time. After the last one, the file is read from its start."""


class Reader(Closing):
    """An opened video. It is a context manager, and can be iterated over once.

    Args:
        path: Path of a file, or "-" for standard input.
        start: Seconds from the beginning of the file. Timestamps are shifted to begin near 0.
        duration: Seconds to read, or None for everything.
        span: Part to read, instead of `start` and `duration`. Timestamps are left as they are.
        like: A frame with the size and pixel format that all frames are converted to. Defaults to
            the first one.
        threads: Threads of the decoder, or 0 for as many as are useful.
        settings: Format of standard input, and the kind of device that decodes.

    Raises:
        InputError: The source is missing, unreadable, or not a media file.
        NoVideoError: It is a media file, but no picture in it can be decoded.
        ConfigError: The settings do not fit the source.
    """

    info: VideoInfo
    source: RecordedSource
    """Properties of the source that a writer needs."""

    def __init__(
        self,
        path: str | Path,
        *,
        start: float = 0.0,
        duration: float | None = None,
        span: TimeSpan | None = None,
        like: Frame | None = None,
        threads: int = 0,
        settings: ReadSettings | None = None,
    ) -> None:
        settings = settings or ReadSettings()
        self._notes = _Notes()
        self._losses = _Notes(self._notes.add)
        self._held: deque[Frame | Passthrough] = deque()
        self._items: Generator[Frame | Passthrough] = _nothing()
        self._latest_position: int | None = None
        self._like = like
        self._threads, self._hwaccel = threads, settings.hwaccel
        self.path = Path(path)
        """Path of the file, even if it is read by redirecting it to standard input."""
        if pipes.is_standard(path) and settings.format is None:
            self.path = pipes.redirected_file() or self.path
        self._target = recorded_target(self.path, settings)
        self._input_pipe = pipes.InputPipe() if pipes.is_standard(self.path) else None
        self._open()
        try:
            base, origin = self._connection.time_base, self._connection.origin
            if span is not None:
                self._window = Window.from_span(span, base)
            else:
                self._window = Window.from_seconds(start, duration, origin, base)
                if self._window.begin is None and self._connection.has_arbitrary_start:
                    self._window = self._window.from_zero(origin, base)
                    self._notes.add(
                        f"the clock of the source begins at {float(origin):.3f} s:"
                        " the result begins at zero"
                    )
                self._check_clock()
            first = self._first_frame()
            if span is None and self._input_pipe is None:
                self._hold_earlier_subtitles()
            self.info = self._connection.describe(first)
            self.source = self._describe_source(first)
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        """End an iteration in another thread soon if it is waiting for standard input."""
        if self._input_pipe is not None:
            self._input_pipe.interrupt()

    def close(self) -> None:
        """Close the source. Frames that were already yielded stay valid."""
        self._held.clear()
        self._items.close()
        self._connection.close()

    def __iter__(self) -> Iterator[Frame | Passthrough]:
        """Yield frames and packets, in memory that does not grow with the video."""
        while self._held:
            yield self._held.popleft()
        yield from self._items

    def others(self) -> Iterator[Passthrough]:
        """Yield only the packets of other streams, without decoding any further frame."""
        self._pass.skips_video = True
        for item in self:
            if isinstance(item, Passthrough):
                yield item

    @property
    def report(self) -> ReadReport:
        """The report so far, which is complete once the iteration has ended."""
        return self._pass.report(tuple(self._notes), tuple(self._losses))

    # Opening -------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._connection = SourceConnection(self._target, self._input_pipe, hwaccel=self._hwaccel)
        is_device = self._connection.decoder.is_hwaccel
        if self._hwaccel not in ("none", "auto") and not is_device:
            self._notes.add(f"cannot decode on {self._hwaccel} here: software is used")

    def _check_clock(self) -> None:
        """Find the place in the file where the window begins, if its time may be ambiguous.

        The clock of some containers can restart, and the same time then occurs at several places.
        If the clock restarts before the window, the reader does not seek.
        """
        begin, may_jump = self._window.begin, self._connection.format_name in JUMPING_FORMATS
        if begin is None or self._input_pipe is not None or not may_jump:
            return
        self._latest_position = position_at(self.path, begin)
        if self._latest_position is None:
            self._window = replace(self._window, may_seek=False)

    def _first_frame(self) -> Frame:
        """Return the first wanted frame, decoded by software if a device returns none."""
        try:
            return self._find_first_frame()
        except NoVideoError:
            if not self._connection.decoder.is_hwaccel:
                raise
        self._notes.add(f"decoding on {self._hwaccel} returns no pictures: software is used")
        self._hwaccel = "none"
        self.close()
        self._open()
        return self._find_first_frame()

    def _find_first_frame(self) -> Frame:
        """Read up to the first wanted frame. Start further back if the file's index was wrong."""
        window, first = self._window, None
        may_seek = window.may_seek and window.begin is not None and self._input_pipe is None
        for seconds_back in (*_STEPS_BACK_SECONDS, None) if may_seek else (None,):
            if not self._go_back(seconds_back):
                continue
            self._pass = ReadingPass(
                self._connection,
                window,
                self._like,
                self._threads,
                self._notes.add,
                self._losses.add,
                skips_to_keyframe=may_seek and seconds_back is not None,
            )
            self._items = self._pass.items()
            first = self._read_first_frame()
            if self._pass.began_early(self._latest_position):
                break
        if first is None:
            raise NoVideoError(f"{self._target.name}: {self._pass.why_nothing()}")
        return first

    def _go_back(self, seconds: int | None) -> bool:
        """Go to a keyframe some seconds before the window, or to the start of the file if None."""
        begin = self._window.begin
        if begin is None or self._input_pipe is not None:
            return True  # Nothing was read yet.
        self._held.clear()
        if seconds is not None:
            return self._connection.seek(begin - seconds)
        self._connection.close()
        self._open()
        return True

    def _read_first_frame(self) -> Frame | None:
        """Read up to the first frame, and keep it and the packets before it."""
        held = 0
        for item in self._items:
            self._held.append(item)
            if isinstance(item, Frame):
                return item
            held += item.packet.size
            if held > MAX_HELD_BYTES:
                break
        return None

    def _hold_earlier_subtitles(self) -> None:
        packets = list(earlier_subtitles(self.path, self._window))
        for packet in reversed(packets):
            self._window.cut_packet(packet)
            self._window.shift_packet(packet)
            self._held.appendleft(Passthrough(packet.stream_index, packet))

    def _describe_source(self, first: Frame) -> RecordedSource:
        times = [
            item.pts * item.time_base if isinstance(item, Frame) else time_of(item.packet)
            for item in self._held
        ]
        container, video = self._connection.container, self._connection.video
        return RecordedSource(
            info=self.info,
            first=first,
            others=tuple(s for s in container.streams if s.index != video.index),
            path=self.path,
            container=container,
            video=video,
            covers=self._pass.covers,
            shift=self._window.shift,
            end=self._window.end,
            earliest=min((time for time in times if time is not None), default=Fraction(0)),
            beginnings=self._pass.first_packets,
            facts=self._connection.facts,
            late_templates={}
            if self._input_pipe is not None
            else late_templates(self.path, container),
        )


class _Notes(dict[str, None]):
    """Distinct lines for the user. Objects that only add lines do not keep the reader alive."""

    def __init__(self, on_line: Callable[[str], None] = lambda _line: None) -> None:
        super().__init__()
        self._on_line = on_line

    def add(self, line: str) -> None:
        self[line] = None
        self._on_line(line)


def _nothing() -> Generator[Frame | Passthrough]:
    yield from ()
