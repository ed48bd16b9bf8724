"""Read a video: frames as the decoder makes them, and every other stream's packets as they are.

The pictures of the one video stream come out as `Frame`, in presentation order and with their
planes untouched; packets of audio, subtitles and data come out as `Passthrough`, in between, in the
order of the file. A damaged file yields what can be read, and the report says what was lost.

Rotation is what FFmpeg reads from the display matrix, counter-clockwise: ``numpy.rot90(plane,
rotation // 90)`` stands upright. A phone held upright usually gives 270.
"""

import os
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame

from crsr_video import pyav
from crsr_video.closing import Closing
from crsr_video.errors import NoVideoError
from crsr_video.pyav import Packet, Passthrough
from crsr_video.source import MAX_SIDE, Source, check_path, main_video, open_container
from crsr_video.types import Frame, VideoInfo

__all__ = ["DecodeReport", "Decoder", "Passthrough"]

MAX_HELD = 256 << 20
"""Bytes of other streams' packets kept while waiting for the first picture."""
MAX_THREADS = 8
"""Every decoding thread holds a frame or two."""
DECLARED = frozenset(("mov", "matroska", "avi", "asf", "flv", "mxf", "nut"))
"""Containers whose header says how long they are; elsewhere FFmpeg measures what is there."""


@dataclass(frozen=True, slots=True)
class DecodeReport:
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


class Decoder(Closing):
    """An opened video; a context manager, to be iterated over once."""

    info: VideoInfo
    source: Source

    def __init__(
        self,
        path: str | Path,
        *,
        start: float = 0.0,
        duration: float | None = None,
        threads: int = 0,
    ) -> None:
        """Open a file and decode its first frame.

        Args: start: seconds from the beginning of the file; times are shifted to start near 0.
              duration: seconds to read; None: to the end.
              threads: of the decoder; 0: as many as is useful.
        Raises: InputError: missing, unreadable, or no media file.
                NoVideoError: a media file without any decodable picture.
        """
        self.path = Path(path)
        self._threads = threads or min(os.cpu_count() or 1, MAX_THREADS)
        self._notes: dict[str, None] = {}
        self._held: deque[Frame | Passthrough] = deque()
        self._open()
        try:
            self._set_window(start, duration)
            first = self._find_first_frame()
            self.info = self._describe(first)
            self.source = Source(
                self.path,
                self._container,
                self._video,
                self.info,
                first,
                self._covers,
                self._shift,
                self._end,
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; frames that came out stay valid."""
        self._held.clear()
        self._items.close()
        self._container.close()

    def __iter__(self) -> Iterator[Frame | Passthrough]:
        """Yield frames and packets; memory does not grow with the file."""
        while self._held:
            yield self._held.popleft()
        yield from self._items

    @property
    def report(self) -> DecodeReport:
        """What happened so far; final once the iteration has ended."""
        return DecodeReport(
            self._frames,
            self._concealed,
            self._damaged,
            self._made_up,
            self._truncated,
            tuple(self._notes),
        )

    # Opening ------------------------------------------------------------------------------------

    def _open(self) -> None:
        check_path(self.path)
        self._items: Generator[Frame | Passthrough] = _nothing()
        self._container = open_container(self.path)
        try:
            self._video = main_video(self._container, self.path)
            context = self._video.codec_context
            context.thread_type = "AUTO"
            context.thread_count = self._threads
            context.options = {"max_pixels": str(MAX_SIDE * MAX_SIDE)}
        except BaseException:
            self._container.close()
            raise
        self._base = self._video.time_base or Fraction(1, 1000)
        self._reset()

    def _reset(self) -> None:
        self._covers: dict[int, Packet] = {}
        self._frames = self._concealed = self._damaged = self._made_up = 0
        self._truncated = False
        self._last: int | None = None
        self._earliest: Fraction | None = None
        self._reached: Fraction | None = None
        self._corrupt_tail = False
        self._form: tuple[int, int, str] | None = None

    def _set_window(self, start: float, duration: float | None) -> None:
        origin = Fraction(self._container.start_time or 0, 1_000_000)
        if start <= 0:
            self._begin, self._shift = None, Fraction(0)
        else:
            # On the video's own clock, so that its times are shifted exactly.
            ticks = round((origin + _exact(start)) / self._base)
            self._begin = ticks * self._base
            self._shift = self._begin
        self._end = None
        if duration is not None:
            self._end = (self._begin if self._begin is not None else origin) + _exact(duration)

    def _find_first_frame(self) -> Frame:
        """Seek and read up to the first wanted frame, further back if the index was wrong.

        Raises: NoVideoError: there is none.
        """
        for back in (0, 10, None) if self._begin is not None else (None,):
            if self._begin is not None and not self._seek(back):
                continue
            self._reset()
            self._items = self._read()
            first = self._fill()
            late = self._earliest is not None and self._begin is not None
            if back is None or not late or self._earliest <= self._begin:  # type: ignore[operator]
                break
        if first is None:
            where = f" after {float(self._begin):g} s" if self._begin and self._earliest else ""
            raise NoVideoError(f"{self.path}: no picture could be decoded{where}")
        return first

    def _seek(self, back: int | None) -> bool:
        """Go to a keyframe at least `back` seconds before the window; None: reopen at the start."""
        self._held.clear()
        assert self._begin is not None
        if back is None:
            self._container.close()
            self._open()
            return True
        target = int((self._begin - back) / self._base)
        try:
            self._container.seek(target, stream=self._video, backward=True)
        except (FFmpegError, OverflowError):
            return False
        return True

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

    def _describe(self, first: Frame) -> VideoInfo:
        video, container = self._video, self._container
        micro = container.duration
        seconds = Fraction(micro, 1_000_000) if micro else (video.duration or 0) * self._base
        rate = video.average_rate or video.guessed_rate
        return VideoInfo(
            width=first.width,
            height=first.height,
            pixel_format=first.layout.name,
            codec=video.codec_context.name,
            container=container.format.name,
            rate=rate,
            time_base=self._base,
            frames=video.frames or (round(seconds * rate) if rate else 0),
            seconds=float(seconds),
            bit_rate=video.bit_rate or 0,
            metadata=dict(container.metadata),
        )

    # Reading ------------------------------------------------------------------------------------

    def _read(self) -> Generator[Frame | Passthrough]:
        done = False
        for packet in self._packets():
            time = _time(packet)
            if self._end is not None and time is not None and done and time >= self._end + 2:
                return  # Video is past the window, and so is everything interleaved with it.
            if packet.stream_index != self._video.index:
                if self._wanted(packet, time):
                    yield Passthrough(packet.stream_index, packet)
            elif not done:
                for picture in self._decode(packet):
                    done = done or self._past_end(picture)
                    if not done and (frame := self._frame(picture)) is not None:
                        yield frame
        for picture in self._decode(None) if not done else ():
            done = done or self._past_end(picture)
            if not done and (frame := self._frame(picture)) is not None:
                yield frame
        self._judge_end()

    def _packets(self) -> Iterator[Packet]:
        """Demux; after an error go on, as long as that brings anything."""
        stalled = 0
        while stalled < 3:
            try:
                for packet in self._container.demux():
                    if packet.size == 0 and packet.dts is None:
                        return  # What PyAV sends when the file has ended.
                    stalled = 0
                    self._note_progress(packet)
                    if packet.size:
                        yield packet
                return
            except FFmpegError as error:
                self._note(f"the file is damaged: {pyav.reason(error)}")
                self._truncated = True
                stalled += 1

    def _note_progress(self, packet: Packet) -> None:
        time = _time(packet)
        if time is not None:
            end = time + (packet.duration or 0) * packet.time_base
            self._reached = end if self._reached is None else max(self._reached, end)
        self._corrupt_tail = bool(packet.is_corrupt)

    def _wanted(self, packet: Packet, time: Fraction | None) -> bool:
        """Whether a packet lies in the window; moves it to the window's clock."""
        if (
            self._video.container.streams[packet.stream_index].disposition
            & Disposition.attached_pic
        ):
            self._covers[packet.stream_index] = packet
            return False
        if time is None:
            return self._begin is None
        if self._begin is not None and time < self._begin:
            return False
        if self._end is not None and time >= self._end:
            return False
        self._move(packet)
        return True

    def _move(self, packet: Packet) -> None:
        offset = round(self._shift / packet.time_base)
        if packet.pts is not None:
            packet.pts -= offset
        if packet.dts is not None:
            packet.dts -= offset

    def _decode(self, packet: Packet | None) -> list[VideoFrame]:
        try:
            return self._video.codec_context.decode(packet)
        except EOFError:
            return []
        except FFmpegError as error:
            self._damaged += 1
            self._note(f"damaged pictures were skipped: {pyav.reason(error)}")
            return []

    def _past_end(self, picture: VideoFrame) -> bool:
        return (
            self._end is not None
            and picture.pts is not None
            and picture.pts * self._base >= self._end
        )

    def _frame(self, picture: VideoFrame) -> Frame | None:
        """Give a picture its time and form; None before the window."""
        pts = self._pts(picture)
        time = pts * self._base
        self._earliest = time if self._earliest is None else self._earliest
        if self._begin is not None and time < self._begin:
            return None
        self._frames += 1
        self._concealed += bool(picture.is_corrupt)
        rotation = picture.rotation
        picture = self._conform(picture)
        picture.pts = pts - int(self._shift / self._base)
        picture.time_base = self._base
        for plane in (components := pyav.views(picture)):
            plane.flags.writeable = False
        return Frame(
            components,
            pyav.layout(picture, self._video.codec_context.codec.canonical_name),
            picture.pts,
            self._base,
            round(rotation / 90) * 90 % 360,
            self._video.sample_aspect_ratio or Fraction(1),
            picture,
        )

    def _pts(self, picture: VideoFrame) -> int:
        """Presentation time in ticks of the stream: increasing, and made up where it is missing."""
        pts, last = picture.pts, self._last
        if pts is None and picture.dts is not None and (last is None or picture.dts > last):
            pts = picture.dts
        elif pts is None:
            rate = self._video.average_rate or Fraction(25)
            pts = 0 if last is None else last + max(1, round(1 / (rate * self._base)))
        if last is not None and pts <= last:
            pts = last + 1
        self._made_up += pts != picture.pts
        self._last = pts
        return pts

    def _conform(self, picture: VideoFrame) -> VideoFrame:
        """Convert what cannot be read natively, and what changes in the middle of the file."""
        name = pyav.nearest_native(picture.format.name)
        form = (picture.width, picture.height, name)
        self._form = self._form or form
        if form == self._form and name == picture.format.name:
            return picture
        if form != self._form:
            was, now = (f"{w}x{h} {n}" for w, h, n in (self._form, form))
            self._note(f"pictures change from {was} to {now} and were converted back")
        else:
            self._note(f"pixel format {picture.format.name} was converted to {name}")
        return pyav.convert(picture, self._form[2], self._form[:2])

    # Ending -------------------------------------------------------------------------------------

    def _judge_end(self) -> None:
        """Decide whether the file was cut off: FFmpeg ends without a word."""
        if self._corrupt_tail or self._index_overruns():
            self._truncated = True
        micro = self._container.duration
        declared = self._container.format.name.split(",")[0] in DECLARED
        if declared and micro and self._reached is not None and self._end is None:
            claimed = Fraction((self._container.start_time or 0) + micro, 1_000_000)
            if self._reached < claimed - max(Fraction(1, 2), Fraction(micro, 50_000_000)):
                self._truncated = True
        if self._truncated:
            self._note("the file ends before it should")

    def _index_overruns(self) -> bool:
        """Whether the file itself points behind its end: MP4's index, or AVI's outermost chunk."""
        kind, size = self._container.format.name.split(",")[0], self._container.size
        entries = self._video.index_entries
        if kind == "mov" and len(entries):
            last = entries[len(entries) - 1]
            return last.pos + last.size > size
        if kind == "avi":
            with self.path.open("rb") as file:
                claimed = int.from_bytes(file.read(8)[4:], "little")
            return size < claimed + 8 and claimed != 0xFFFFFFFF  # Which means unknown.
        return False

    def _note(self, text: str) -> None:
        self._notes[text] = None


def _nothing() -> Generator[Frame | Passthrough]:
    yield from ()


def _time(packet: Packet) -> Fraction | None:
    """When a packet is due, in seconds."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else ticks * packet.time_base


def _exact(seconds: float) -> Fraction:
    """The decimal fraction that was meant: 0.2 as a float lies just above one fifth."""
    return Fraction(seconds).limit_denominator(1_000_000)
