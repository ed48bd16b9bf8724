"""Live enhancement under load, seen from outside: paced in, drained out, through real pipes.

The figures of the live run itself are read from its statistics; beside them stands what a camera
and a viewer would measure: from writing a picture into the pipe to reading it from the other one.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import IO, Any

import av
import cv2
import numpy as np

from crsr_video.bench import clip
from crsr_video.bench.pacing import Bytes, Camera
from crsr_video.errors import BenchError, CrsrError
from crsr_video.io.reader import Reader
from crsr_video.live.latency import LatencyMeter, Quantiles
from crsr_video.types import Frame

_LOOP = 2.0
"""Seconds of pictures, which are played forth and back."""
_LEAST = 64
"""Pixels of the sample clip's sides."""
_GRACE = 60.0
"""Seconds that a run may take to start and to end, beside what it plays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is played."""

    width: int = 640
    height: int = 480
    rate: Fraction = Fraction(30)
    faces: int = 1
    seconds: float = 60.0
    source: Path | None = None
    """A video to play in place of the sample clip; its size and rate are its own."""


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """What came of it."""

    load: Load
    frames_sent: int
    frames_received: int
    """By the viewer."""
    out_of_order: int
    """Pictures that came with a time that was not later than the one before."""
    outside: Quantiles
    """Latency in ms from the camera's writing to the viewer's reading, pipes included."""
    memory_start: float
    """MiB of the live process, five seconds after its first frame."""
    memory_end: float
    levels: Sequence[str]
    """Changes of quality, in words."""
    summary: dict[str, Any]
    """The live run's own."""


def pictures(load: Load) -> list[Bytes]:
    """Pictures to play, yuv420p as PyAV has it in an array.

    Raises: CrsrError: the video cannot be read.
    """
    most = max(2, round(_LOOP * float(load.rate)))
    if load.source is not None:
        with Reader(load.source) as film:
            frames = islice((item for item in film if isinstance(item, Frame)), most)
            arrays = (frame.native.to_ndarray(format="yuv420p") for frame in frames)
            return [np.asarray(array, np.uint8) for array in arrays]
    if min(load.width, load.height) < _LEAST or load.width % 2 or load.height % 2:
        raise BenchError(f"the sample clip needs an even size, {_LEAST} pixels at least")
    sample = clip.Sample(load.width, load.height, load.faces, most)
    return [cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420) for picture in clip.pictures(sample)]


def measure(load: Load, options: Sequence[str] = ()) -> LiveFigures:
    """Play, and measure.

    Args:   options: further ones for ``crsr-video live``.
    Raises: CrsrError: the live run failed, or gave no figures.
    """
    camera = Camera(pictures(load), load.rate, load.seconds)
    child = LiveChild(["--input-format", "nut", *options])
    viewer = Viewer(camera.sent)
    child.run(camera.write, viewer.read, load.seconds + _GRACE)
    if child.summary is None:
        raise CrsrError(f"the live run gave no figures: {child.complaint}")
    start, end = child.memory(5.0)
    return LiveFigures(
        load=load,
        frames_sent=len(camera.sent),
        frames_received=viewer.frames,
        out_of_order=viewer.out_of_order,
        outside=viewer.latency.total(),
        memory_start=start,
        memory_end=end,
        levels=[line for line in child.notices if line.startswith("quality")],
        summary=child.summary,
    )


class Viewer:
    """Reads NUT, and takes the time; decodes nothing.

    Args: sent: when each picture was written, by its time stamp.
    """

    def __init__(self, sent: dict[int, float]) -> None:
        self._sent = sent
        self.latency = LatencyMeter()
        self.frames = self.out_of_order = 0

    def read(self, source: IO[bytes], stop: threading.Event) -> None:
        """Read to the end."""
        last = -1
        with av.open(source, "r", format="nut") as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                now = time.monotonic()
                if packet.pts is None or stop.is_set():
                    continue
                self.frames += 1
                self.out_of_order += packet.pts <= last
                last = packet.pts
                written = self._sent.get(round(packet.pts * packet.time_base * 90_000))
                if written is not None:
                    self.latency.push(now - written)


class LiveChild:
    """``crsr-video live`` from standard input to standard output, as a process of its own."""

    def __init__(self, options: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "crsr_video", "live", "-i", "-", "-o", "-"]
        self._command += ["--json", *options]
        self.summary: dict[str, Any] | None = None
        self.statistics: list[dict[str, Any]] = []
        self.notices: list[str] = []
        self.complaint = "it said nothing"
        self.code: int | None = None
        self._stop = threading.Event()
        self._errors: list[BaseException] = []

    def run(self, write: Any, read: Any, most: float) -> None:
        """Run to the end, with one thread writing, one reading the video, one the figures.

        Args:   write, read: called with a pipe, and an event at which to stop.
                most: seconds after which it is ended.
        Raises: CrsrError: it did not end in time.
        """
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,  # Else the last bytes of a picture would wait for the next one.
        ) as process:
            assert process.stdin and process.stdout and process.stderr
            threads = [
                threading.Thread(target=self._guarded, args=(write, process.stdin, True)),
                threading.Thread(target=self._guarded, args=(read, process.stdout, False)),
                threading.Thread(target=self._listen, args=(process.stderr,)),
            ]
            for thread in threads:
                thread.start()
            try:
                self.code = process.wait(most)
            except subprocess.TimeoutExpired as error:
                raise CrsrError(f"the live run did not end within {most:.0f} s") from error
            finally:
                self._stop.set()
                process.kill()
                for thread in threads:
                    thread.join(10)

    def memory(self, after: float) -> tuple[float, float]:
        """MiB in use so many seconds after the start, and at the end."""
        known = [(s["seconds"], s["memory_mib"] or 0.0) for s in self.statistics]
        first = next((mib for seconds, mib in known if seconds >= after), 0.0)
        return first, known[-1][1] if known else 0.0

    def _guarded(self, act: Any, pipe: IO[bytes], closes: bool) -> None:
        try:
            act(pipe, self._stop)
        except (OSError, av.error.FFmpegError):
            pass  # The other end has gone, which its exit code tells of.
        finally:
            if closes:
                with suppress(OSError):
                    pipe.close()

    def _listen(self, source: IO[bytes]) -> None:
        for line in source:
            text = line.decode(errors="replace").strip()
            try:
                event = json.loads(text)
            except ValueError:
                self.complaint = text
                continue
            kind = event.pop("event", "")
            if kind == "statistics":
                self.statistics.append(event)
            elif kind == "summary":
                self.summary = event
            elif kind in ("notice", "error"):
                self.notices.append(event["message"])
                self.complaint = event["message"]


def as_dict(figures: LiveFigures) -> dict[str, Any]:
    """Plain values, for JSON."""
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
    clip = load.source.name if load.source else f"{load.width}x{load.height}, {load.faces} faces"
    lines = [
        f"played: {clip}, {float(load.rate):g} fps, {load.seconds:g} s",
        f"frames: {figures.frames_sent} sent, {summary['frames_in']} in, "
        f"{summary['frames_out']} out, {figures.frames_received} received, "
        f"{summary['dropped']} dropped, {figures.out_of_order} out of order",
        f"fps: {summary['fps_in']:.2f} in, {summary['fps_out']:.2f} out",
        f"latency in ms: p50 {latency['p50_ms']:.1f}, p95 {latency['p95_ms']:.1f}, "
        f"p99 {latency['p99_ms']:.1f}",
        f"from outside: p50 {outside.p50:.1f}, p95 {outside.p95:.1f}, p99 {outside.p99:.1f}",
        f"time per frame in ms: {stages}",
        f"memory in MiB: {figures.memory_start:.0f} after 5 s, {figures.memory_end:.0f} at the end",
        f"quality at the end: {summary['level']}",
    ]
    return "\n".join([*lines, *figures.levels])
