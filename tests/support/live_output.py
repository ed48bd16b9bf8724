"""Small clips for live writers, and readers of their results."""

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from crsr_video.io.live_writer import LiveWriter
from crsr_video.io.pyav import Passthrough
from crsr_video.io.reader import Reader
from crsr_video.io.source import Source
from crsr_video.types import Frame
from tests.support.video import make_video


@dataclass
class Clip:
    """A clip with all of its frames and packets."""

    source: Source
    items: list[Frame | Passthrough]
    decoder: Reader

    @property
    def frames(self) -> list[Frame]:
        return [item for item in self.items if isinstance(item, Frame)]

    @property
    def sound(self) -> list[bytes]:
        return [bytes(i.packet) for i in self.items if isinstance(i, Passthrough)]


@contextmanager
def clip(folder: Path, name: str = "source.mkv", **options: object) -> Iterator[Clip]:
    """Make and read a clip. Its streams can be used inside the block."""
    path = make_video(folder / name, **options)
    with Reader(path) as decoder:
        yield Clip(decoder.source, list(decoder), decoder)


def push_all(sink: object, items: list[Frame | Passthrough]) -> None:
    for item in items:
        if isinstance(item, Frame):
            sink.push(item)
        else:
            sink.push_packet(item)


@dataclass
class Seen:
    """The streams, frames and packets of a result."""

    planes: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    times: list[Fraction] = field(default_factory=list)
    sound: list[bytes] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    pixel_format: str = ""
    codec: str = ""


def read(source: object, **options: object) -> Seen:
    """Read everything from a container: a path, a URL, or bytes."""
    from crsr_video.io import pyav

    if isinstance(source, bytes):
        source = io.BytesIO(source)
    seen = Seen()
    with av.open(source, "r", **options) as container:
        video = container.streams.video[0]
        seen.codec = video.codec_context.name
        for packet in container.demux():
            if packet.stream.type == "audio" and packet.size:
                seen.sound.append(bytes(packet))
            if packet.stream is not video:
                continue
            for frame in packet.decode():
                seen.planes.append(tuple(v.copy() for v in pyav.views(frame, alpha=True)))
                seen.times.append(frame.pts * frame.time_base)
                seen.keys.append(bool(frame.key_frame))
                seen.size = frame.width, frame.height
                seen.pixel_format = frame.format.name
    return seen


class Drain:
    """Reads a file descriptor to its end in a thread."""

    def __init__(self, number: int, limit: int | None = None) -> None:
        self._number, self._limit = number, limit
        self.data = b""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        parts, count = [], 0
        while self._limit is None or count < self._limit:
            part = os.read(self._number, 1 << 20)
            if not part:
                break
            parts.append(part)
            count += len(part)
        self.data = b"".join(parts)
        os.close(self._number)

    def join(self) -> bytes:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.data


@contextmanager
def standard_output(to: int) -> Iterator[None]:
    """Replace standard output by another file descriptor inside a block, and close that one."""
    kept = os.dup(1)
    os.dup2(to, 1)
    os.close(to)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def endless(source: Clip) -> Iterator[Frame]:
    """Yield the frames of a clip again and again, with growing times."""
    step = source.frames[1].pts - source.frames[0].pts
    count = 0
    while True:
        for frame in source.frames:
            yield replace(frame, pts=count * step)
            count += 1


def pump(
    writer: LiveWriter, frames: Iterator[Frame], until: Callable[[], object], seconds: float = 25
) -> int:
    """Push 50 frames per second until a condition holds, and return their number."""
    end, count = time.monotonic() + seconds, 0
    while not until():
        assert time.monotonic() < end, "the condition never held"
        writer.push(next(frames))
        count += 1
        time.sleep(0.02)
    return count
