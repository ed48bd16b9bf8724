"""Senders for live sources."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream

from crsr_video.config import ReadSettings
from crsr_video.io.live_reader import LiveReader
from crsr_video.io.pyav import Passthrough
from crsr_video.io.source import Source
from crsr_video.types import Frame
from tests.support.video import picture

ZEROLATENCY = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=6"}
MOST_SECONDS = 20.0
"""A source of a test is interrupted after this time, whatever it waits for."""


class Parts:
    """A file that keeps what is written to it, in one part per frame."""

    def __init__(self) -> None:
        self.parts: list[bytes] = [b""]

    def write(self, data: bytes) -> int:
        self.parts[-1] += data
        return len(data)


def encoded(
    container: str,
    codec: str = "libx264",
    *,
    size: tuple[int, int] = (64, 48),
    frames: int = 12,
    rate: int = 25,
    begin: int = 0,
    audio: bool = False,
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
) -> list[bytes]:
    """Return the bytes of a stream: header and first frame, each further frame, and the end.

    Args:
        begin: Time of the first frame, in frames.
    """
    file = Parts()
    given = {"flush_packets": "1", **(container_options or {})}
    with av.open(file, "w", format=container, container_options=given) as output:
        video = add_video(output, codec, size, rate, pix_fmt, options)
        sound = add_sound(output) if audio else None
        for number in range(frames):
            if sound is not None:
                write_sound(output, sound, (begin + number) / rate, 1 / rate)
            frame = picture(begin + number, size, pix_fmt)
            frame.pts, frame.time_base = begin + number, Fraction(1, rate)
            output.mux(video.encode(frame))
            file.parts.append(b"")
        output.mux(video.encode(None))
    return [part for part in file.parts if part]


def add_video(
    output: av.container.OutputContainer,
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    rate: int = 25,
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
) -> VideoStream:
    chosen = ZEROLATENCY if codec == "libx264" and options is None else options
    video = output.add_stream(codec, rate, options=dict(chosen or {}))
    assert isinstance(video, VideoStream)
    video.width, video.height = size
    video.pix_fmt = pix_fmt
    video.codec_context.time_base = Fraction(1, rate)
    return video


def add_sound(output: av.container.OutputContainer) -> av.AudioStream:
    sound = output.add_stream("mp2", 48000, layout="mono")
    assert isinstance(sound, av.AudioStream)
    return sound


def write_sound(
    output: av.container.OutputContainer, sound: av.AudioStream, begin: float, seconds: float
) -> None:
    count = round(seconds * 48000)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, count), np.int16), "s16", "mono")
    frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
    frame.pts = round(begin * 48000)
    output.mux(sound.encode(frame))


class Writer(threading.Thread):
    """Writes to a FIFO or a file descriptor, with pauses.

    Args:
        parts: Bytes to write, seconds to sleep, or events to wait for.
    """

    def __init__(self, target: Path | int, *parts: bytes | float | threading.Event) -> None:
        super().__init__(daemon=True)
        self._target, self._parts = target, parts
        self.written: list[float] = []
        """When each part was written."""
        self.start()

    def run(self) -> None:
        target = self._target
        number = target if isinstance(target, int) else os.open(target, os.O_WRONLY)
        try:
            with suppress(BrokenPipeError):
                for part in self._parts:
                    self._one(number, part)
        finally:
            os.close(number)

    def _one(self, number: int, part: bytes | float | threading.Event) -> None:
        if isinstance(part, bytes):
            view = memoryview(part)
            while view:
                view = view[os.write(number, view) :]
            self.written.append(time.monotonic())
        elif isinstance(part, threading.Event):
            part.wait(MOST_SECONDS)
        else:
            time.sleep(part)


class Taken:
    """The items of a source, in order."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.at: list[float] = []
        self.events: list[str] = []
        self.error: Exception | None = None

    @property
    def frames(self) -> list[Frame]:
        return [item for item in self.items if isinstance(item, Frame)]

    @property
    def sources(self) -> list[Source]:
        return [item for item in self.items if isinstance(item, Source)]

    @property
    def others(self) -> list[Passthrough]:
        return [item for item in self.items if isinstance(item, Passthrough)]

    @property
    def times(self) -> list[Fraction]:
        return [frame.pts * frame.time_base for frame in self.frames]

    def add(self, incoming: LiveReader, most: int | None = None) -> None:
        """Take all items, or at most so many frames."""
        count = 0
        for arrival in incoming:
            self.items.append(arrival.item)
            self.at.append(arrival.at)
            count += isinstance(arrival.item, Frame)
            if most is not None and count >= most:
                return


@contextmanager
def opened(address: str | Path, **settings: Any) -> Iterator[tuple[LiveReader, Taken]]:
    """Open a source that is interrupted when it takes too long."""
    taken = Taken()
    with LiveReader(
        str(address), ReadSettings(**settings), on_event=taken.events.append
    ) as incoming:
        guard = threading.Timer(MOST_SECONDS, incoming.interrupt)
        guard.start()
        try:
            yield incoming, taken
        finally:
            guard.cancel()
            guard.join()


def increasing(times: Sequence[Fraction | int]) -> bool:
    return all(a < b for a, b in pairwise(times))


class Sender(threading.Thread):
    """Sends frames to the network in real time.

    Args:
        frames: Number of frames. There is no end by default.
        wait: Seconds before the first frame.
    """

    def __init__(
        self,
        url: str,
        container: str,
        *,
        size: tuple[int, int] = (64, 48),
        rate: int = 25,
        frames: int | None = None,
        wait: float = 0.0,
        audio: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._url, self._container, self._size = url, container, size
        self._rate, self._frames, self._wait = rate, frames, wait
        self._audio, self._options = audio, dict(options or {})
        self._ended = threading.Event()
        self.sent: list[float] = []
        """When each frame was sent."""
        self.start()

    def run(self) -> None:
        self._ended.wait(self._wait)
        with suppress(OSError, av.error.FFmpegError):  # The other side may have gone.
            self._send()

    def end(self) -> None:
        self._ended.set()
        self.join(MOST_SECONDS)

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _send(self) -> None:
        given = {"flush_packets": "1", **self._options}
        with av.open(
            self._url, "w", format=self._container, container_options=given, timeout=5
        ) as output:
            video = add_video(output, size=self._size, rate=self._rate)
            sound = add_sound(output) if self._audio else None
            began, number = time.monotonic(), 0
            while number != self._frames:
                if self._ended.wait(max(0.0, began + number / self._rate - time.monotonic())):
                    break
                if sound is not None:
                    write_sound(output, sound, number / self._rate, 1 / self._rate)
                frame = picture(number, self._size, "yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, self._rate)
                output.mux(video.encode(frame))
                self.sent.append(time.monotonic())
                number += 1


class Program:
    """A `Sender` in a process of its own: PyAV holds Python's lock while it connects.

    Args:
        options: Arguments of `Sender`, as far as JSON can hold them.
    """

    def __init__(self, url: str, container: str, **options: Any) -> None:
        folders = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps([url, container, options])],
            env={**os.environ, "PYTHONPATH": folders},
            stdin=subprocess.DEVNULL,
        )

    def end(self) -> None:
        """Kill the process, if it has not ended."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port on which nobody listens."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    url, container, given = json.loads(sys.argv[1])
    Sender(url, container, **given).join()
