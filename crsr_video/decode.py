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

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame

from crsr_video.closing import Closing
from crsr_video.config import ReadSettings
from crsr_video.errors import ConfigError, NoVideoError
from crsr_video.media import limits, pipes, pyav
from crsr_video.media.damage import Watch, tame
from crsr_video.media.epochs import JUMPING, Epochs
from crsr_video.media.framer import Framer
from crsr_video.media.integrity import HEAD, TAIL, falls_short, overruns
from crsr_video.media.pyav import Packet, Passthrough
from crsr_video.media.source import (
    Ahead,
    Source,
    check_path,
    main_video,
    open_container,
    open_inlet,
    packets_of,
)
from crsr_video.types import Frame, VideoInfo

__all__ = ["DecodeReport", "Decoder", "Passthrough", "Span"]

MAX_HELD = 256 << 20
"""Bytes of other streams' packets kept while waiting for the first picture."""
MAX_THREADS = 8
"""Every decoding thread holds a frame or two."""


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


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a video, in ticks of its own clock."""

    begin: int | None = None
    """Time of the first frame wanted; None: the first there is."""
    end: int | None = None
    """Time from which on no frame is wanted; None: to the end."""
    seek: bool = True
    """Whether the file may be entered in the middle, and is not read from its start."""


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
        self.path = Path(path)
        self._read_settings = read or ReadSettings()
        self._hwaccel = self._read_settings.hwaccel
        self._inlet = self._find_inlet()
        self._name = self._inlet.name if self._inlet is not None else str(self.path)
        self._threads = threads or min(os.cpu_count() or 1, MAX_THREADS)
        self._notes: dict[str, None] = {}
        self._held: deque[Frame | Passthrough] = deque()
        self._may_seek, self._only_others = True, False
        self._like = (like.width, like.height, like.layout.name) if like else None
        self._open()
        try:
            self._set_window(start, duration)
            if span is not None:
                self._set_span(span)
            first = self._first_frame()
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
                self._earliest(),
                self._beginnings,
            )
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        """Let the iteration end soon, in whatever thread it waits for standard input."""
        if self._inlet is not None:
            self._inlet.interrupt()

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

    def others(self) -> Iterator[Passthrough]:
        """Only the packets of other streams, in place of iterating: nothing more is decoded."""
        self._only_others = True
        for item in self:
            if isinstance(item, Passthrough):
                yield item

    @property
    def report(self) -> DecodeReport:
        """What happened so far; final once the iteration has ended."""
        return DecodeReport(
            self._framer.frames,
            self._framer.concealed + self._watch.patched,
            max(self._damaged, self._watch.lost),
            self._framer.made_up,
            self._truncated,
            tuple(self._notes),
        )

    # Opening ------------------------------------------------------------------------------------

    def _find_inlet(self) -> pipes.Inlet | None:
        """Standard input, where that is meant and is not a file after all."""
        if pipes.is_standard(self.path):
            redirected = pipes.redirected_file()
            if redirected is None or self._read_settings.container is not None:
                return pipes.Inlet()
            self.path = redirected
        if self._read_settings.container is not None:
            raise ConfigError("input-format is for standard input only: a file tells it itself")
        return None

    def _open(self) -> None:
        self._items: Generator[Frame | Passthrough] = _nothing()
        if self._inlet is not None:
            self._container = open_inlet(self._inlet, self._read_settings)
        else:
            check_path(self.path)
            self._container = open_container(self.path, self._hwaccel)
        try:
            self._video = main_video(self._container, self._name)
            context = self._video.codec_context
            context.thread_type = "AUTO"
            context.thread_count = limits.threads_for(self._threads, context.width, context.height)
            context.options = limits.stream_options()
            if self._hwaccel != "none" and context.is_hwaccel:
                context.thread_count = 1  # The device is one.
            elif self._hwaccel not in ("none", "auto"):
                self._note(f"cannot decode on {self._hwaccel} here: software is used")
        except BaseException:
            self._container.close()
            raise
        self._base = self._video.time_base or Fraction(1, 1000)

    def _reset(self) -> None:
        self._covers: dict[int, Packet] = {}
        self._framer = Framer(
            self._video, begin=self._begin, shift=self._shift, form=self._like, note=self._note
        )
        begin = None if self._begin is None else round(self._begin / self._base)
        codec = self._video.codec_context.codec.canonical_name
        self._watch = Watch(codec, begin)
        self._damaged = 0
        self._truncated = False
        self._reached: Fraction | None = None
        self._read_to = 0
        self._corrupt_tail = False
        jumping = self._container.format.name in JUMPING
        self._epochs = Epochs() if jumping else None
        self._packets: Iterable[Packet] = self._demuxed()
        self._beginnings: dict[int, bytes] | None = None
        if self._inlet is not None:
            ahead = Ahead(self._demuxed())
            self._beginnings = ahead.beginnings(self._container, self._video)
            self._packets = ahead

    def _set_span(self, span: Span) -> None:
        self._begin = None if span.begin is None else span.begin * self._base
        self._end = None if span.end is None else span.end * self._base
        self._shift, self._may_seek = Fraction(0), span.seek

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

    def _first_frame(self) -> Frame:
        """The first wanted frame, in software if a device gives none.

        Raises: NoVideoError: there is none.
        """
        try:
            return self._find_first_frame()
        except NoVideoError:
            if not self._video.codec_context.is_hwaccel:
                raise
        self._note(f"nothing comes from decoding on {self._hwaccel} here: software is used")
        self._hwaccel = "none"
        self.close()
        self._open()
        return self._find_first_frame()

    def _find_first_frame(self) -> Frame:
        """Seek and read up to the first wanted frame, further back if the index was wrong.

        Raises: NoVideoError: there is none.
        """
        may_seek = self._may_seek and self._inlet is None
        for back in (0, 10, None) if self._begin is not None and may_seek else (None,):
            if self._begin is not None and self._inlet is None and not self._seek(back):
                continue
            self._reset()
            self._items = self._read()
            first = self._fill()
            early = self._framer.earliest
            if back is None or None in (early, self._begin) or early <= self._begin:  # type: ignore[operator]
                break
        if first is None:
            raise NoVideoError(f"{self._name}: {self._why_nothing(early)}")
        return first

    def _why_nothing(self, early: Fraction | None) -> str:
        """Why there is no frame, as far as that can be told."""
        if self._inlet is not None:
            self._inlet.check()
            if self._container.format.name == "rawvideo":
                return f"its {self._inlet.received} bytes do not fill one frame of that size"
            if self._container.format.name.startswith("mov") and not self._framer.frames:
                return (
                    "no picture could be decoded: MP4 goes through a pipe only with its index in"
                    " front (-movflags +faststart); give the file's name, or use NUT"
                )
        where = f" after {float(self._begin):g} s" if self._begin and early else ""
        return f"no picture could be decoded{where}"

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

    def _earliest(self) -> Fraction:
        """Least time of what is held, in seconds."""
        times = [
            i.pts * i.time_base if isinstance(i, Frame) else _time(i.packet) for i in self._held
        ]
        return min((time for time in times if time is not None), default=Fraction(0))

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
        for packet in self._packets:
            time = _time(packet)
            done = done or self._only_others
            if self._end is not None and time is not None and done and time >= self._end + 2:
                return  # Video is past the window, and so is everything interleaved with it.
            if packet.stream_index != self._video.index:
                if self._wanted(packet, time):
                    yield Passthrough(packet.stream_index, packet)
            elif not done:
                self._watch.sent(packet)
                for picture in self._decode(packet):
                    done = done or self._past_end(picture)
                    if not done and (frame := self._framer.frame(picture)) is not None:
                        yield frame
        for picture in self._decode(None) if not done else ():
            done = done or self._past_end(picture)
            if not done and (frame := self._framer.frame(picture)) is not None:
                yield frame
        if not done:
            self._watch.end()
        for told in self._watch.notes:
            self._note(told)
        if self._epochs is not None and self._epochs.jumps:
            self._note("the clock starts again, as where recordings were joined: times go on")
        self._judge_end()

    def _demuxed(self) -> Iterator[Packet]:
        """Demux; after an error go on, as long as that brings anything."""
        stalled = 0
        while stalled < 3:
            try:
                for packet in packets_of(self._container):
                    if packet.size == 0 and packet.dts is None:
                        break  # What PyAV sends when the file has ended.
                    stalled = 0
                    tame(packet)
                    if self._epochs is not None:
                        self._epochs.move(packet)
                    self._note_progress(packet)
                    if packet.size:
                        yield packet
                if self._inlet is not None:
                    self._inlet.check()
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
        self._read_to = (packet.pos or 0) + packet.size
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
            pictures = self._video.codec_context.decode(packet)
            for picture in pictures:
                self._watch.came(picture)
            return pictures
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

    # Ending -------------------------------------------------------------------------------------

    def _judge_end(self) -> None:
        """Decide whether the file was cut off: FFmpeg ends without a word."""
        ends, size = self._ends_and_size()
        if self._corrupt_tail or overruns(self._container, self._video, ends, size, self._read_to):
            self._truncated = True
        if self._end is None and falls_short(self._container, self._reached):
            self._truncated = True
        if self._truncated:
            self._note("the file ends before it should")

    def _ends_and_size(self) -> tuple[tuple[bytes, bytes], int]:
        """First and last bytes and length of what was read."""
        if self._inlet is not None:
            return (self._inlet.head, self._inlet.tail), self._inlet.received
        with self.path.open("rb") as file:
            head, size = file.read(HEAD), self._container.size
            file.seek(max(0, size - TAIL))
            return (head, file.read(TAIL)), size

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
