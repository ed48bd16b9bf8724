"""A camera that is none: pictures in NUT, or a programme in MPEG-TS, written at their own pace."""

import io
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_TICKS = 90_000
"""A second."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a recording sends at one moment."""

    seconds: float
    """Since its beginning."""
    data: bytes


class _Cut(io.RawIOBase):
    """Keeps what a muxer writes since it was last asked."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def take(self) -> bytes:
        """All of it."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def programme(pictures: list[Bytes], rate: Fraction) -> list[Piece]:
    """A transport stream with H.264 and a tone in AAC, frame by frame.

    Args: pictures: of yuv420p, as PyAV has them in an array.
    """
    out = _Cut()
    pieces: list[Piece] = []
    with av.open(out, "w", format="mpegts", options={"flush_packets": "1"}) as container:
        options = {"preset": "veryfast", "tune": "zerolatency", "crf": "20", "g": "30"}
        video = container.add_stream("libx264", rate=rate, options=options)
        height, width = pictures[0].shape[0] * 2 // 3, pictures[0].shape[1]
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=48_000, layout="mono")
        tone = _tone(len(pictures) / float(rate))
        for index, picture in enumerate(pictures):
            seconds = index / float(rate)
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(video.encode(frame))
            while tone and (tone[0].pts or 0) / 48_000 <= seconds:
                container.mux(audio.encode(tone.pop(0)))
            pieces.append(Piece(seconds, out.take()))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    pieces.append(Piece(len(pictures) / float(rate), out.take()))
    return pieces


def _tone(seconds: float) -> list[av.AudioFrame]:
    """440 Hz in frames of 1024 samples."""
    frames = []
    for start in range(0, int(seconds * 48_000), 1024):
        wave = 0.1 * np.sin(2 * np.pi * 440 / 48_000 * np.arange(start, start + 1024))
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], "fltp", "mono")
        frame.sample_rate, frame.pts = 48_000, start
        frames.append(frame)
    return frames


class Camera:
    """Writes pictures as raw video in NUT, each at its time, forth and back without an end.

    Args: pictures: of yuv420p, as PyAV has them in an array.
    """

    def __init__(self, pictures: list[Bytes], rate: Fraction, seconds: float) -> None:
        self._pictures, self._rate, self._seconds = pictures, rate, seconds
        self.sent: dict[int, float] = {}
        """By time stamp: `time.monotonic` when the picture had been written. Read by others."""
        self.late = 0
        """Pictures that were written half a frame late or more, for the reader was slow."""

    def write(self, out: BinaryIO, stop: threading.Event) -> None:
        """Send everything.

        Raises: OSError: the reader has gone.
        """
        with av.open(out, "w", format="nut", options={"flush_packets": "1"}) as container:
            stream = container.add_stream("rawvideo", rate=self._rate)
            height, width = self._pictures[0].shape[0] * 2 // 3, self._pictures[0].shape[1]
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.time_base = Fraction(1, _TICKS)
            begin = time.monotonic()
            for index, picture in zip(count(), self._forth_and_back(), strict=False):
                due = index / float(self._rate)
                if due >= self._seconds or stop.wait(max(begin + due - time.monotonic(), 0)):
                    return
                frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
                frame.pts = round(due * _TICKS)
                frame.time_base = Fraction(1, _TICKS)
                self.sent[frame.pts] = time.monotonic()
                container.mux(stream.encode(frame))
                self.late += time.monotonic() - begin - due > 0.5 / float(self._rate)

    def _forth_and_back(self) -> Iterator[Bytes]:
        while True:
            yield from self._pictures
            yield from self._pictures[-2:0:-1]
