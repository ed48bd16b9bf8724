"""Benchmark of how soon and how smoothly the studio's preview shows enhanced frames.

It starts a studio as a user would, and sends requests to its HTTP API as the studio's page would.
"""

import http.client
import json
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from crsr_video.bench import clip
from crsr_video.errors import BenchError
from crsr_video.machine import machine, resident_mib

_CLIP_FRAMES = 250
_WIDTH = 1280
"""Largest width of the pictures. In a window of 1920 x 1080, the page asks for 1037 pixels."""
_START_SECONDS = 120.0
_COOKIE = "crsr_studio"
_SETTLED_REQUESTS = 30
"""Number of requested frames after which the resident memory is first recorded."""
_MEMORY_SAMPLES = 10


@dataclass(frozen=True, slots=True)
class StudioFigures:
    """Results for one picture size, with one face in the picture."""

    size: str
    first_frame_seconds: float
    """Time from the first request for a frame to its arrival. The file is already open."""
    frame_seconds: float
    """Median time from request to arrival over frames at random positions."""
    playing_fps: float
    """Frames per second that arrive while the file plays."""
    quality: str
    """Quality level of the preview at the end."""
    memory_mib: float | None
    """Resident memory of the studio after the first frames; None where that is unknown."""
    memory_growth_mib: float | None
    """Growth of the resident memory over all further frames."""
    memory_over_time_mib: tuple[float, ...] = ()
    """Resident memory at equal intervals while frames at random positions were requested."""


def measure(
    sizes: tuple[str, ...],
    *,
    play_seconds: float,
    scrub_seconds: float,
    on_size: Callable[[str], None] = lambda _: None,
) -> list[StudioFigures]:
    """Measure the studio with generated clips, and return the figures.

    Args:
        sizes: Names from `clip.SIZES`.
        play_seconds: Maximum time for which a clip is played. Each clip is 10 seconds long.
        scrub_seconds: Time for which frames at random positions are requested.
        on_size: Called with each size before it is measured.
    """
    with tempfile.TemporaryDirectory(prefix="crsr-bench-") as name:
        folder = Path(name) / "clips"
        folder.mkdir()
        for size in sizes:
            on_size(size)
            width, height = clip.SIZES[size]
            clip.write(folder / f"{size}.mp4", clip.ClipProperties(width, height, 1, _CLIP_FRAMES))
        with _studio(folder, Path(name) / "work") as studio:
            # The networks are loaded in the background. This request waits for them, so that the
            # time to load them is not measured.
            studio.frame(studio.file_id(f"{sizes[0]}.mp4"), 1.0)
            return [_measure(studio, size, play_seconds, scrub_seconds) for size in sizes]


def as_text(figures: list[StudioFigures]) -> str:
    """Return the figures as a table."""
    lines = [f"size    first frame   any frame   {'playing':<42}memory (growth), over time"]
    for row in figures:
        memory = "unknown"
        if row.memory_mib is not None:
            memory = f"{row.memory_mib:.0f} MiB ({row.memory_growth_mib:+.0f} MiB)"
            memory += "".join(f" {mib:.0f}" for mib in row.memory_over_time_mib)
        playing = f"{row.playing_fps:.1f} fps, {row.quality}"
        lines.append(
            f"{row.size:<6}{row.first_frame_seconds:>11.2f} s {row.frame_seconds:>9.2f} s   "
            f"{playing:<42}{memory}"
        )
    return "\n".join(lines)


def as_json(figures: list[StudioFigures]) -> str:
    """Return the figures as JSON, with the machine that they were measured on."""
    return json.dumps({"machine": machine(), "studio": [asdict(row) for row in figures]}, indent=1)


class _Studio:
    """Client of a running studio, which sends the same requests as the studio's page."""

    def __init__(self, process: subprocess.Popen[str], host: str, token: str) -> None:
        self.process, self._host = process, host
        self._headers = {"Cookie": f"{_COOKIE}={token}"}
        self._connection = http.client.HTTPConnection(host, timeout=_START_SECONDS)

    def call(self, method: str, path: str, body: Any = None) -> bytes:
        text = None if body is None else json.dumps(body)
        headers = {**self._headers, "Content-Type": "application/json"}
        self._connection.request(method, path, text, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        self._connection.close()  # The server closes connections idle for five seconds.
        if answer.status != 200:
            raise BenchError(f"the studio answered {path} with {answer.status}: {data[:200]!r}")
        return data

    def file_id(self, name: str) -> str:
        files = json.loads(self.call("GET", "/api/files"))["files"]
        return str(next(file["id"] for file in files if file["name"] == name))

    def frame(self, file_id: str, at: float) -> None:
        body = {"at": at, "width": _WIDTH}
        self.call("POST", f"/api/files/{file_id}/frame", body)

    def play(self, file_id: str, seconds: float) -> tuple[float, str]:
        """Play a file, and return frames per second and the quality level at the end."""
        address = f"ws://{self._host}/api/files/{file_id}/play"
        times: list[float] = []
        quality = ""
        with connect(address, additional_headers=self._headers, max_size=None) as socket:
            socket.send(json.dumps({"command": "play", "at": 0, "width": _WIDTH}))
            while not times or times[-1] - times[0] < seconds:
                try:
                    message = socket.recv(timeout=_START_SECONDS)
                except (ConnectionClosed, TimeoutError):
                    break
                if isinstance(message, str):  # Text marks the end of the file.
                    break
                header = _header(message)
                times.append(time.monotonic())
                quality = header["quality"]
                socket.send(json.dumps({"command": "shown", "number": header["number"]}))
        if len(times) < 2:
            raise BenchError("the studio sent no frames to play")
        return (len(times) - 1) / (times[-1] - times[0]), quality


def _measure(
    studio: _Studio, size: str, play_seconds: float, scrub_seconds: float
) -> StudioFigures:
    file_id = studio.file_id(f"{size}.mp4")
    studio.call("GET", f"/api/files/{file_id}")
    began = time.monotonic()
    studio.frame(file_id, 2.0)
    first = time.monotonic() - began
    fps, quality = studio.play(file_id, play_seconds)
    rng = random.Random(7)
    spent: list[float] = []
    settled = resident_mib(studio.process.pid)
    over_time: list[float] = []
    start = time.monotonic()
    while not spent or time.monotonic() < start + scrub_seconds:
        began = time.monotonic()
        studio.frame(file_id, rng.uniform(0, 9))
        spent.append(time.monotonic() - began)
        if len(spent) == _SETTLED_REQUESTS:
            settled = resident_mib(studio.process.pid)
        if time.monotonic() > start + len(over_time) * scrub_seconds / _MEMORY_SAMPLES:
            over_time.append(resident_mib(studio.process.pid) or 0.0)
    memory = resident_mib(studio.process.pid)
    growth = None if memory is None or settled is None else memory - settled
    return StudioFigures(
        size, first, median(spent), fps, quality, settled, growth, tuple(over_time)
    )


def _header(packet: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", packet)
    header: dict[str, Any] = json.loads(packet[4 : 4 + length])
    return header


@contextmanager
def _studio(folder: Path, work_folder: Path) -> Iterator[_Studio]:
    words = ["studio", str(folder), "--no-browser", "--work-folder", str(work_folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "crsr_video", *words], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        found = re.search(r"http://([\d.:]+)/\?token=(\S+)", process.stderr.readline())
        if found is None:
            raise BenchError("the studio did not start")
        studio = _Studio(process, found[1], found[2])
        _wait_until_it_answers(studio)
        yield studio
    finally:
        process.kill()
        process.communicate()


def _wait_until_it_answers(studio: _Studio) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            studio.call("GET", "/api/options")
            return
        except OSError as error:
            if time.monotonic() > end:
                raise BenchError("the studio does not answer") from error
            time.sleep(0.1)
