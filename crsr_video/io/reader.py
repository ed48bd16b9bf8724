"""Read a video: frames as the decoder makes them, and every other stream's packets as they are.

The pictures of the one video stream come out as `Frame`, in presentation order and with their
planes untouched; packets of audio, subtitles and data come out as `Passthrough`, in between, in the
order of the file. A damaged file yields what can be read, and the report says what was lost.

Standard input is read once and in order. Packets are then read ahead until every stream has come,
so that whoever writes can decide what to do with each.

Rotation is what the display matrix asks for, counter-clockwise: ``numpy.rot90(plane, rotation //
90)`` stands upright. A phone held upright usually gives 270. Of a mirroring matrix only the
rotation is looked at.
"""

from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path

from crsr_video.closing import Closing
from crsr_video.config import ReadSettings
from crsr_video.errors import NoVideoError
from crsr_video.io.opened import Opened
from crsr_video.io.pyav import Passthrough
from crsr_video.io.reading import Reading, ReadReport
from crsr_video.io.source import Source
from crsr_video.io.window import Span, Window, time_of
from crsr_video.types import Frame, VideoInfo

__all__ = ["Passthrough", "ReadReport", "Reader", "Span"]

MAX_HELD = 256 << 20
"""Bytes of other streams' packets kept while waiting for the first picture."""
_STEP_BACK = 10
"""Seconds by which an index may be wrong, before it is not trusted at all."""


class Reader(Closing):
    """An opened video; a context manager, to be iterated over once."""

    info: VideoInfo
    source: Source

    def __init__(
        self,
        path: str | Path,
        *,
        start: float = 0.0,
        duration: float | None = None,
        span: Span | None = None,
        like: Frame | None = None,
        threads: int = 0,
        read: ReadSettings | None = None,
    ) -> None:
        """Open a file and decode its first frame.

        Args: path: of a file; "-" is standard input.
              start: seconds from the beginning of the file; times are shifted to start near 0.
              duration: seconds to read; None: to the end.
              span: in place of start and duration: what to read, times left as they are.
              like: a frame of the size and pixel format that all are to have; None: the first.
              threads: of the decoder; 0: as many as is useful.
              read: what standard input holds; None: what it looks like. And what decodes.
        Raises: InputError: missing, unreadable, or no media file.
                NoVideoError: a media file without any decodable picture.
                ConfigError: `read` says something of a file, or names an unknown pixel format.
        """
        self._notes = _Notes()
        self._held: deque[Frame | Passthrough] = deque()
        self._items: Generator[Frame | Passthrough] = _nothing()
        self._form = (like.width, like.height, like.layout.name) if like else None
        self._opened = Opened(Path(path), read or ReadSettings(), threads, self._notes.add)
        self.path = self._opened.path
        """Of a file that standard input was redirected from: its own."""
        try:
            base, origin = self._opened.base, self._opened.origin
            if span is not None:
                self._window = Window.of_span(span, base)
            else:
                self._window = Window.of_seconds(start, duration, origin, base)
            first = self._first_frame()
            self.info = self._opened.describe(first)
            self.source = self._source(first)
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        """Let the iteration end soon, in whatever thread it waits for standard input."""
        if self._opened.inlet is not None:
            self._opened.inlet.interrupt()

    def close(self) -> None:
        """Close the file; frames that came out stay valid."""
        self._held.clear()
        self._items.close()
        self._opened.close()

    def __iter__(self) -> Iterator[Frame | Passthrough]:
        """Yield frames and packets; memory does not grow with the file."""
        while self._held:
            yield self._held.popleft()
        yield from self._items

    def others(self) -> Iterator[Passthrough]:
        """Only the packets of other streams, in place of iterating: nothing more is decoded."""
        self._reading.only_others = True
        for item in self:
            if isinstance(item, Passthrough):
                yield item

    @property
    def report(self) -> ReadReport:
        """What happened so far; final once the iteration has ended."""
        return self._reading.report(tuple(self._notes))

    # The first frame ----------------------------------------------------------------------------

    def _first_frame(self) -> Frame:
        """The first wanted frame, in software if a device gives none.

        Raises: NoVideoError: there is none.
        """
        try:
            return self._find_first_frame()
        except NoVideoError:
            if not self._opened.video.codec_context.is_hwaccel:
                raise
        self._held.clear()
        self._items.close()
        self._opened.use_software()
        return self._find_first_frame()

    def _find_first_frame(self) -> Frame:
        """Seek and read up to the first wanted frame, further back if the index was wrong.

        Raises: NoVideoError: there is none.
        """
        first = None
        for back in (0, _STEP_BACK, None) if self._may_seek else (None,):
            if not self._go_back(back):
                continue
            self._begin()
            first = self._fill()
            if self._reading.is_early:
                break
        if first is None:
            raise NoVideoError(f"{self._opened.name}: {self._reading.why_nothing()}")
        return first

    @property
    def _may_seek(self) -> bool:
        may = self._window.may_seek and self._opened.inlet is None
        return may and self._window.begin is not None

    def _go_back(self, back: int | None) -> bool:
        """Go to a keyframe at least `back` seconds before the window; None: to the very start."""
        begin = self._window.begin
        if begin is None or self._opened.inlet is not None:
            return True  # It is there already.
        self._held.clear()
        if back is not None:
            return self._opened.seek(begin - back)
        self._opened.close()
        self._opened.open()
        return True

    def _begin(self) -> None:
        """Read from here."""
        self._reading = Reading(self._opened, self._window, self._form, self._notes.add)
        self._items = self._reading.items

    def _fill(self) -> Frame | None:
        """Read up to the first frame, keeping what comes before it."""
        held = 0
        for item in self._items:
            self._held.append(item)
            if isinstance(item, Frame):
                return item
            held += item.packet.size
            if held > MAX_HELD:
                break
        return None

    def _source(self, first: Frame) -> Source:
        """What was opened, for whoever writes."""
        return Source(
            self.path,
            self._opened.container,
            self._opened.video,
            self.info,
            first,
            self._reading.covers,
            self._window.shift,
            self._window.end,
            self._earliest(),
            self._reading.beginnings,
        )

    def _earliest(self) -> Fraction:
        """Least time of what is held, in seconds."""
        times = [
            i.pts * i.time_base if isinstance(i, Frame) else time_of(i.packet) for i in self._held
        ]
        return min((time for time in times if time is not None), default=Fraction(0))


class _Notes(dict[str, None]):
    """Lines for the user, each once; parts that add to them need not hold the decoder."""

    def add(self, line: str) -> None:
        self[line] = None


def _nothing() -> Generator[Frame | Passthrough]:
    yield from ()
