"""A file or standard input, opened, and the video in it ready to be decoded."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from crsr_video.config import ReadSettings
from crsr_video.errors import ConfigError
from crsr_video.io import limits, pipes
from crsr_video.io.integrity import HEAD, TAIL
from crsr_video.io.source import check_path, main_video, open_container, open_inlet
from crsr_video.types import Frame, VideoInfo

MAX_THREADS = 8
"""Every decoding thread holds a frame or two."""


class Opened:
    """What is read from; it may have to be opened more than once.

    Args:   path: of a file; "-" is standard input.
            settings: what standard input holds, and what decodes.
            threads: of the decoder; 0: as many as is useful.
            note: takes a line that the user should read.
    Raises: InputError: missing, unreadable, or no media file. NoVideoError: it holds no video.
            ConfigError: the settings say something of a file, or name an unknown pixel format.
    """

    container: InputContainer
    video: VideoStream
    """The stream to decode."""
    base: Fraction
    """Seconds a tick of it."""

    def __init__(
        self, path: Path, settings: ReadSettings, threads: int, note: Callable[[str], None]
    ) -> None:
        self.path, self._settings, self._note = path, settings, note
        self._threads = threads or min(os.cpu_count() or 1, MAX_THREADS)
        self.hwaccel = settings.hwaccel
        self.inlet = self._find_inlet()
        """Standard input; None: a file."""
        self.name = str(self.path) if self.inlet is None else self.inlet.name
        """As the user is told of it."""
        self.open()

    def _find_inlet(self) -> pipes.Inlet | None:
        """Standard input, where that is meant and is not a file after all."""
        if pipes.is_standard(self.path):
            redirected = pipes.redirected_file()
            if redirected is None or self._settings.format is not None:
                return pipes.Inlet()
            self.path = redirected
        if self._settings.format is not None:
            raise ConfigError("input-format is for standard input only: a file tells it itself")
        return None

    def open(self) -> None:
        """Open it, at its beginning; it must be closed."""
        if self.inlet is not None:
            self.container = open_inlet(self.inlet, self._settings)
        else:
            check_path(self.path)
            self.container = open_container(self.path, self.hwaccel)
        try:
            self.video = main_video(self.container, self.name)
            self._prepare()
        except BaseException:
            self.container.close()
            raise
        self.base = self.video.time_base or Fraction(1, 1000)

    def _prepare(self) -> None:
        """Tell the decoder how to work."""
        context = self.video.codec_context
        context.thread_type = "AUTO"
        context.thread_count = limits.threads_for(self._threads, context.width, context.height)
        context.options = limits.stream_options()
        if self.hwaccel != "none" and context.is_hwaccel:
            context.thread_count = 1  # The device is one.
        elif self.hwaccel not in ("none", "auto"):
            self._note(f"cannot decode on {self.hwaccel} here: software is used")

    def use_software(self) -> None:
        """Open it again; no device is to decode."""
        self._note(f"nothing comes from decoding on {self.hwaccel} here: software is used")
        self.hwaccel = "none"
        self.close()
        self.open()

    def seek(self, time: Fraction) -> bool:
        """Go to a keyframe before a time in seconds; whether that can be."""
        target = int(time / self.base)
        try:
            self.container.seek(target, stream=self.video, backward=True)
        except (FFmpegError, OverflowError):
            return False
        return True

    def close(self) -> None:
        """May be called twice."""
        self.container.close()

    @property
    def origin(self) -> Fraction:
        """Seconds; the time at which it begins, as far as it says so itself."""
        return Fraction(self.container.start_time or 0, 1_000_000)

    def ends(self) -> tuple[tuple[bytes, bytes], int]:
        """First and last bytes, and the length of all, when everything has been read."""
        if self.inlet is not None:
            return (self.inlet.head, self.inlet.tail), self.inlet.received
        with self.path.open("rb") as file:
            head, size = file.read(HEAD), self.container.size
            file.seek(max(0, size - TAIL))
            return (head, file.read(TAIL)), size

    def describe(self, first: Frame) -> VideoInfo:
        """What it is, by its first frame."""
        video, container = self.video, self.container
        micro = container.duration
        seconds = Fraction(micro, 1_000_000) if micro else (video.duration or 0) * self.base
        rate = video.average_rate or video.guessed_rate
        return VideoInfo(
            width=first.width,
            height=first.height,
            pixel_format=first.layout.name,
            codec=video.codec_context.name,
            container=container.format.name,
            rate=rate,
            time_base=self.base,
            frames=video.frames or (round(seconds * rate) if rate else 0),
            seconds=float(seconds),
            bit_rate=video.bit_rate or 0,
            metadata=dict(container.metadata),
        )
