"""One opened source: packets out of it, and how it ends."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.error import ExitError, FFmpegError, InvalidDataError
from av.video.stream import VideoStream

from crsr_video.closing import Closing
from crsr_video.errors import InputError, NoVideoError
from crsr_video.io import limits, pyav
from crsr_video.io.damage import tame
from crsr_video.io.feed import SourceSettings
from crsr_video.io.incoming import reasons
from crsr_video.io.incoming.address import Kind, Target
from crsr_video.io.incoming.bridge import Bridge
from crsr_video.io.incoming.ends import RawEnd
from crsr_video.io.incoming.halt import Halt, Stopped
from crsr_video.io.incoming.pipe import Pipe, TimedOut
from crsr_video.io.pyav import Packet
from crsr_video.io.source import main_video, packets_of

_BUFFER = 1 << 16
"""Bytes that are asked for at once: what a pipe holds."""
_ASK_AGAIN_SECONDS = 0.002
"""Between two looks whether a camera has a picture."""
_MOST_FAILURES = 500
"""Reads in a row that bring nothing but errors, until a source is given up."""
_LONGEST_SECONDS = 600.0
_SHORT_SECONDS = 0.5
"""A wait that is no silence."""
_PIECES = 4
"""How many times longer the silences are of a source that comes in pieces."""


class Broken(Exception):  # noqa: N818 - it is not the user's
    """A connection is of no use any more; the text says why."""


class Gone(Broken):
    """The other side has ended, or is only away for a moment: that looks alike."""


@dataclass(slots=True)
class Counts:
    """What has come, over all connections."""

    frames: int = 0
    packets: int = 0
    damaged_packets: int = 0
    damaged_frames: int = 0
    reconnections: int = 0
    stalls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all connections of a run share."""

    target: Target
    settings: SourceSettings
    halt: Halt
    counts: Counts
    tell: Callable[[str], None]
    """Takes a line when something happens."""
    tell_damage: Callable[[], None]
    """Is called when something damaged was counted."""
    show: Callable[[str], None]
    """Takes what is being done."""


class Connection(Closing):
    """A source from its opening to its end, a break or a stall."""

    container: InputContainer
    video: VideoStream
    """The stream to decode."""

    def __init__(self, context: Context, pipe: Pipe | None = None) -> None:
        """Open a source.

        Args:   pipe: through which it comes, if it does; it stays open.
        Raises: InputError: it cannot be opened, or within the time. NoVideoError: no pictures.
                Stopped: the run is to end.
        """
        self._context, self._halt = context, context.halt
        self._target, self._settings = context.target, context.settings
        self._bridge: Bridge | None = None
        self._pipe = pipe
        self._opened = self._silent = False
        self.pictures = 0
        """Decoded so far; to be counted by whoever decodes."""
        self.picture_at = math.nan
        """When the last of them came; later by the time in which nothing was asked for."""
        self._by = time.monotonic() + self._settings.connect_seconds
        self._halt.deadline = self._by
        context.show("connecting")
        self._size = reasons.check_file(self._target) if self._target.kind is Kind.FILE else 0
        try:
            self._bridge = self._open_bridge() if self._target.bridged else None
            self.container = self._open()
            self._opened = True
            self.video = self._find_video()
            if self._pipe is not None:
                self._pipe.on_data = self._data_came
        except BaseException:
            self.close()
            raise
        name = self.container.format.name
        raw = name == "rawvideo"
        self._raw_end = RawEnd(name, reasons.frame_bytes(self._target.options) if raw else 0)
        self.clockless = self._target.clockless(name, self._settings)
        """Its times are made up by FFmpeg."""

    def close(self) -> None:
        """Close what was opened here."""
        if self._opened:
            self._opened = False
            self.container.close()
        if self._bridge is not None:
            self._bridge.close()

    # Opening ------------------------------------------------------------------------------------

    def _open_bridge(self) -> Bridge:
        bridge = Bridge(self._target.url, self._target.shown, self._settings.options)
        self._pipe = Pipe(bridge.descriptor, self._halt)
        return bridge

    def _open(self) -> InputContainer:
        target = self._target
        try:
            with self._halt.guarding():
                return av.open(
                    target.url if self._pipe is None else self._pipe,
                    "r",
                    format=target.format,
                    options=limits.stream_options(),
                    container_options=target.options,
                    metadata_errors="surrogateescape",
                    buffer_size=_BUFFER,
                    # As `Halt` says, rather: these are only to be there, and to be longer.
                    timeout=(2 * self._settings.connect_seconds, _LONGEST_SECONDS),
                )
        except (FFmpegError, OSError, ValueError, TimedOut, Stopped) as error:
            self._halt.check()
            raise self._not_opened(error) from error

    def _not_opened(self, error: BaseException) -> InputError:
        if isinstance(error, ExitError | TimedOut) or self._halt.due:
            return self._too_late()
        if self._bridge is not None and (why := self._bridge.failure()):
            return InputError(f"{self._target.shown}: cannot be reached: {why}")
        return reasons.not_opened(self._target, error, self._head())

    def _head(self) -> bytes:
        """The first bytes, where they can be known."""
        if self._pipe is not None:
            return self._pipe.head
        if self._target.kind is Kind.FILE:
            path = Path(self._target.url.removeprefix("file:"))
            with suppress(OSError), path.open("rb") as file:
                return file.read(1024)
        return b""

    def _too_late(self) -> InputError:
        seconds = self._settings.connect_seconds
        return InputError(f"{self._target.shown}: sent no picture within {seconds:g} s")

    def _find_video(self) -> VideoStream:
        shown, container = self._target.shown, self.container
        tags = (container.metadata, *(stream.metadata for stream in container.streams))
        limits.check_counts(
            shown,
            streams=container.streams,
            chapters=(),
            attached=0,
            tags=sum(len(key) + len(value) for table in tags for key, value in table.items()),
        )
        if not len(container.streams):
            raise NoVideoError(f"{shown}: ended before the first picture")
        return main_video(container, shown)

    # Reading ------------------------------------------------------------------------------------

    def packets(self) -> Generator[tuple[Packet, float]]:
        """Packets, each with the time of its arrival; an end is a proper end.

        Raises: Broken: the connection failed. Stopped: the run is to end.
                InputError: there never was a picture.
        """
        for packet in self._read():
            at = time.monotonic() if self._pipe is None else self._pipe.at
            self._context.counts.packets += 1
            tame(packet)
            if packet.stream_index == self.video.index and self._raw_end.is_cut(packet):
                continue
            yield packet, at
            self._check_pictures()

    def _read(self) -> Iterator[Packet]:
        """Demux; after an error go on, as long as that brings anything."""
        failures = 0
        while failures < _MOST_FAILURES:
            try:
                for packet in self._guarded(packets_of(self.container)):
                    if packet.size == 0 and packet.dts is None:
                        return  # What PyAV sends at the end.
                    failures, self._silent = 0, False
                    yield packet
                return
            except BlockingIOError:
                self._wait_for_camera()
            except (FFmpegError, TimedOut, OSError) as error:
                self._judge(error)
                failures += 1
        raise Broken("is damaged beyond reading")

    def _guarded(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        """The same packets, but none is waited for longer than is right."""
        while True:
            self._context.show("waiting for data")
            self._halt.check()
            self._halt.deadline = self._patience()
            with self._halt.guarding():
                packet = next(packets, None)
            if packet is None:
                return
            yield packet

    def _patience(self) -> float:
        """Until when to wait for the next packet."""
        if not self.pictures:
            return self._by
        if self._target.kind is not Kind.NETWORK:
            return math.inf
        return time.monotonic() + self._stall_seconds

    @property
    def _stall_seconds(self) -> float:
        return self._settings.stall_seconds * (_PIECES if self._target.in_pieces else 1)

    def _judge(self, error: BaseException) -> None:
        """Go on after damaged bytes; else raise what an error comes to."""
        self._halt.check()
        if isinstance(error, ExitError | TimedOut) or self._halt.due:
            if not self.pictures:
                raise self._too_late() from error
            self._context.counts.stalls += 1
            raise Broken(f"sent nothing for {self._stall_seconds:g} s") from error
        lasting = self._target.kind in (Kind.DEVICE, Kind.NETWORK)
        if lasting and not isinstance(error, InvalidDataError):
            raise Broken(f"broke off: {pyav.reason(error)}") from error
        self._context.counts.damaged_packets += 1
        self._context.tell_damage()

    def _wait_for_camera(self) -> None:
        """A camera has no picture yet; a longer silence is told, once."""
        self._halt.wait(_ASK_AGAIN_SECONDS)
        if self._halt.due:
            raise self._too_late()
        silence = time.monotonic() - self.picture_at
        if silence > self._settings.stall_seconds and not self._silent:
            self._silent = True
            self._context.counts.stalls += 1
            self._context.tell(f"nothing came for {silence:.0f} s; waiting")

    def _data_came(self, waited: float) -> None:
        """Bytes came through the pipe; what FFmpeg makes of them may never get here."""
        if waited > _SHORT_SECONDS:
            self.picture_at += waited
        self._check_pictures()

    def _check_pictures(self) -> None:
        """Raises: InputError, Broken: packets come, but nothing can be made of them."""
        now = time.monotonic()
        if not self.pictures and now > self._by:
            raise self._too_late()
        longest = max(self._settings.connect_seconds, self._stall_seconds)
        if self._target.live and now - self.picture_at > longest:
            raise Broken(f"sent no picture for {longest:g} s")

    def check_end(self) -> None:
        """To be asked at the end.

        Raises: InputError: there was no picture.
                Gone, Broken: the sender may come again; a program in between failed.
        """
        if self._bridge is not None and (why := self._bridge.failure()):
            raise Broken(f"broke off: {why}")
        live_rtsp = self.container.format.name == "rtsp" and not self.container.duration
        if self.pictures and (self._bridge is not None or live_rtsp):
            raise Gone("the sender has gone")
        total = self._size if self._pipe is None else self._pipe.total
        wrong = self._raw_end.missing(total)
        if wrong and not self.pictures:
            raise InputError(f"{self._target.shown}: {wrong}")
        if wrong and not self._settings.loop:  # As wherever a sender is stopped: a usual end.
            self._context.tell(f"{wrong}; it is left out")
        if not self.pictures:
            raise NoVideoError(f"{self._target.shown}: no picture could be decoded")
