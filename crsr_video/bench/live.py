"""The benchmark of live enhancement: a paced camera in, a viewer out, through real pipes.

Beside the statistics of the live run stands the latency that a camera and a viewer would measure:
from writing a frame into the one pipe to reading it from the other.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, islice
from pathlib import Path
from typing import IO, Any

import av
import cv2
import numpy as np

from crsr_video.bench import clip
from crsr_video.errors import BenchError, CrsrError
from crsr_video.io.reader import Reader
from crsr_video.live.statistics import LatencyMeter, Quantiles
from crsr_video.types import Bytes, Frame

TICKS_PER_SECOND = 90_000
_LOOP_SECONDS = 2.0
"""Length of the clip, which is played forward and backward."""
_MIN_SIDE_PX = 64
_GRACE_SECONDS = 60.0
"""Time that a run may take to start and to end, in addition to the length of the video."""
_SETTLED_SECONDS = 5.0
"""Time after which the memory of the live process is read for the first time."""
_START_TICKS = 5 * TICKS_PER_SECOND
"""Timestamp, in ticks, before which a frame counts as part of the start of a run."""

PipeUser = Callable[[Any, threading.Event], None]
"""A function that reads or writes a pipe until its end, or until the event is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Video that the camera plays."""

    width: int = 640
    height: int = 480
    rate: Fraction = Fraction(30)
    faces: int = 1
    seconds: float = 60.0
    source: Path | None = None
    """A video to play instead of the generated clip, with its own size."""


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """Results of a live run."""

    load: Load
    frames_sent: int
    frames_received: int
    out_of_order: int
    """Received frames whose timestamp was not later than the one before."""
    outside: Quantiles
    """Milliseconds from when the camera writes a frame until the viewer reads it, including the
    pipes."""
    first_frame_ms: float
    """Milliseconds from when the camera writes its first frame until the viewer reads its first
    frame. The live process starts before the camera does, and reads the pipe as soon as it can."""
    dropped_at_start: int
    """Number of frames of the first five seconds that the viewer never received."""
    memory_start: float
    """Memory of the live process in MiB, five seconds after its first frame."""
    memory_end: float
    levels: Sequence[str]
    """Notices about changes of quality."""
    summary: dict[str, Any]


def measure(load: Load, options: Sequence[str] = ()) -> LiveFigures:
    """Play a clip into a live run, and return the measured results.

    Args:
        load: Video to play.
        options: Further options of ``crsr-video live``.
    """
    camera = Camera(pictures(load), load.rate, load.seconds)
    process = LiveProcess(["--input-format", "nut", *options])
    viewer = Viewer(camera.sent)
    process.run(camera.write, viewer.read, load.seconds + _GRACE_SECONDS)
    start, end = process.memory(_SETTLED_SECONDS)
    return LiveFigures(
        load=load,
        frames_sent=len(camera.sent),
        frames_received=viewer.frames,
        out_of_order=viewer.out_of_order,
        outside=viewer.latency.total(),
        first_frame_ms=1e3 * (viewer.first_at - min(camera.sent.values())),
        dropped_at_start=len(
            [pts for pts in camera.sent if pts < _START_TICKS and pts not in viewer.early]
        ),
        memory_start=start,
        memory_end=end,
        levels=[line for line in process.notices if line.startswith("quality")],
        summary=process.require_summary(),
    )


def pictures(load: Load) -> list[Bytes]:
    """Return the frames to play, as yuv420p arrays in PyAV's layout.

    Raises:
        BenchError: If the size is odd or too small for the generated clip.
    """
    frames = max(2, round(_LOOP_SECONDS * float(load.rate)))
    if load.source is not None:
        with Reader(load.source) as reader:
            found = islice((item for item in reader if isinstance(item, Frame)), frames)
            arrays = (frame.native.to_ndarray(format="yuv420p") for frame in found)
            return [np.asarray(array, np.uint8) for array in arrays]
    if min(load.width, load.height) < _MIN_SIDE_PX or load.width % 2 or load.height % 2:
        raise BenchError(f"the clip needs an even size of at least {_MIN_SIDE_PX} pixels")
    sample = clip.ClipProperties(load.width, load.height, load.faces, frames)
    return [cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420) for picture in clip.pictures(sample)]


def video_size(picture: Bytes) -> tuple[int, int]:
    """Return the width and height of a frame that `pictures` returned."""
    return picture.shape[1], picture.shape[0] * 2 // 3


class Camera:
    """Writes frames as raw video in NUT, each when it is due, alternately forward and backward.

    Attributes:
        sent: Time at which each frame was written, as `time.monotonic` gives it, by the timestamp
            of the frame.
    """

    def __init__(self, pictures: list[Bytes], rate: Fraction, seconds: float) -> None:
        self._pictures, self._rate, self._seconds = pictures, rate, seconds
        self.sent: dict[int, float] = {}

    def write(self, pipe: IO[bytes], stop: threading.Event) -> None:
        """Write all frames."""
        with av.open(pipe, "w", format="nut", options={"flush_packets": "1"}) as container:
            stream = container.add_stream("rawvideo", rate=self._rate)
            stream.width, stream.height = video_size(self._pictures[0])
            stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, TICKS_PER_SECOND)
            begin = time.monotonic()
            for index, picture in zip(count(), self._forward_and_backward(), strict=False):
                due = index / float(self._rate)
                if due >= self._seconds or stop.wait(max(begin + due - time.monotonic(), 0)):
                    return
                frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
                frame.pts, frame.time_base = round(due * TICKS_PER_SECOND), stream.time_base
                self.sent[frame.pts] = time.monotonic()
                container.mux(stream.encode(frame))

    def _forward_and_backward(self) -> Iterator[Bytes]:
        while True:
            yield from self._pictures
            yield from self._pictures[-2:0:-1]


class Viewer:
    """Reads NUT and measures the latency, without decoding.

    Args:
        sent: `Camera.sent`.
    """

    def __init__(self, sent: dict[int, float]) -> None:
        self._sent = sent
        self.latency = LatencyMeter()
        self.frames = self.out_of_order = 0
        self.first_at = 0.0
        """Time at which the first frame was read, as `time.monotonic` gives it."""
        self.early: set[int] = set()
        """Timestamps, in ticks, of the frames received from the first five seconds."""

    def read(self, pipe: IO[bytes], stop: threading.Event) -> None:
        """Read to the end."""
        last: float = -1
        with av.open(pipe, "r", format="nut") as container:
            for packet in container.demux(container.streams.video[0]):
                now = time.monotonic()
                if packet.pts is None or stop.is_set():
                    continue
                self.frames += 1
                self.out_of_order += packet.pts <= last
                last = packet.pts
                ticks = round(packet.pts * packet.time_base * TICKS_PER_SECOND)
                if self.frames == 1:
                    self.first_at = now
                if ticks < _START_TICKS:
                    self.early.add(ticks)
                written = self._sent.get(ticks)
                if written is not None:
                    self.latency.push(now - written)


class LiveProcess:
    """Runs ``crsr-video live`` from standard input to standard output in a separate process.

    Attributes:
        statistics: Statistics events.
        notices: Messages of notice and error events.
        code: Exit code.
    """

    def __init__(self, options: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "crsr_video", "live", "-i", "-", "-o", "-"]
        self._command += ["--json", *options]
        self.statistics: list[dict[str, Any]] = []
        self.notices: list[str] = []
        self.code: int | None = None
        self._summary: dict[str, Any] | None = None
        self._last_message = "it printed no message"
        self._stop = threading.Event()

    def run(self, write: PipeUser, read: PipeUser, timeout_seconds: float) -> None:
        """Run to the end, with three threads: to write the input, read the output and read events.

        Raises:
            CrsrError: If the run did not end in time.
        """
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,  # Otherwise the last bytes of a frame would wait for the next frame.
        ) as process:
            assert process.stdin and process.stdout and process.stderr
            threads = [
                threading.Thread(target=self._use, args=(write, process.stdin, True)),
                threading.Thread(target=self._use, args=(read, process.stdout, False)),
                threading.Thread(target=self._read_events, args=(process.stderr,)),
            ]
            for thread in threads:
                thread.start()
            try:
                self.code = process.wait(timeout_seconds)
            except subprocess.TimeoutExpired as error:
                text = f"the live run did not end within {timeout_seconds:.0f} s"
                raise CrsrError(text) from error
            finally:
                self._stop.set()
                process.kill()
                for thread in threads:
                    thread.join(10)

    def require_summary(self) -> dict[str, Any]:
        """Return the summary event.

        Raises:
            CrsrError: If there was none.
        """
        if self._summary is None:
            raise CrsrError(f"the live run printed no summary: {self._last_message}")
        return self._summary

    def memory(self, after_seconds: float) -> tuple[float, float]:
        """Return the memory in MiB at a time after the first frame and at the end; 0 if unknown."""
        known = [(s["seconds"], s["memory_mib"] or 0.0) for s in self.statistics]
        first = next((mib for seconds, mib in known if seconds >= after_seconds), 0.0)
        return first, known[-1][1] if known else 0.0

    def _use(self, act: PipeUser, pipe: IO[bytes], closes: bool) -> None:
        try:
            act(pipe, self._stop)
        except (OSError, av.error.FFmpegError):
            pass  # The other end has closed the pipe; its exit code shows why.
        finally:
            if closes:
                with suppress(OSError):
                    pipe.close()

    def _read_events(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            text = line.decode(errors="replace").strip()
            try:
                event = json.loads(text)
            except ValueError:
                self._last_message = text
                continue
            kind = event.pop("event", "")
            if kind == "statistics":
                self.statistics.append(event)
            elif kind == "summary":
                self._summary = event
            elif kind in ("notice", "error"):
                self._last_message = event["message"]
                self.notices.append(self._last_message)


def as_dict(figures: LiveFigures) -> dict[str, Any]:
    """The results for JSON."""
    load, outside = figures.load, figures.outside
    return {
        "load": {
            "width": load.width,
            "height": load.height,
            "rate": float(load.rate),
            "faces": load.faces,
            "seconds": load.seconds,
            "source": str(load.source) if load.source else None,
        },
        "frames_sent": figures.frames_sent,
        "frames_received": figures.frames_received,
        "out_of_order": figures.out_of_order,
        "first_frame_ms": figures.first_frame_ms,
        "dropped_at_start": figures.dropped_at_start,
        "outside_ms": {"p50": outside.p50, "p95": outside.p95, "p99": outside.p99},
        "memory_mib": [figures.memory_start, figures.memory_end],
        "levels": list(figures.levels),
        "summary": figures.summary,
    }


def as_text(figures: LiveFigures) -> str:
    """The results as lines of text."""
    summary, outside, load = figures.summary, figures.outside, figures.load
    latency = summary["latency"]
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in summary["stages"].items())
    name = load.source.name if load.source else f"{load.width}x{load.height}, {load.faces} faces"
    lines = [
        f"played: {name}, {float(load.rate):g} fps, {load.seconds:g} s",
        f"frames: {figures.frames_sent} sent, {summary['frames_in']} in, "
        f"{summary['frames_out']} out, {figures.frames_received} received, "
        f"{summary['dropped']} dropped, {figures.out_of_order} out of order",
        f"start: first frame after {figures.first_frame_ms:.0f} ms, {summary['unenhanced']} frames "
        f"before the networks were loaded, {figures.dropped_at_start} dropped in five seconds",
        f"fps: {summary['fps_in']:.2f} in, {summary['fps_out']:.2f} out",
        f"latency in ms: p50 {latency['p50_ms']:.1f}, p95 {latency['p95_ms']:.1f}, "
        f"p99 {latency['p99_ms']:.1f}",
        f"from outside: p50 {outside.p50:.1f}, p95 {outside.p95:.1f}, p99 {outside.p99:.1f}",
        f"time per frame in ms: {stages}",
        f"memory in MiB: {figures.memory_start:.0f} after 5 s, {figures.memory_end:.0f} at the end",
        f"quality at the end: {summary['level']}",
    ]
    return "\n".join([*lines, *figures.levels])
