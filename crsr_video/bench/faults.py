"""The benchmark of live enhancement with faults: what it survives, and how soon it recovers.

MPEG-TS with H.264 and sound is played, and every few seconds one of these faults happens in turn:
the source stalls, noise replaces bytes, the frame size changes, two seconds arrive at once, or the
reader of the result pauses.
"""

import io
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import cycle
from typing import IO, Any

import av
import numpy as np

from crsr_video.bench.clip import Bytes
from crsr_video.bench.live import LiveProcess, Load, Viewer, pictures, video_size

KINDS = ("stall", "garbage", "format change", "burst", "reader pause")
_INTERVAL_SECONDS = 9.0
"""Undisturbed play between two faults."""
_STALL_SECONDS = _PAUSE_SECONDS = 4.0
_BURST_SECONDS = 2.0
_GARBAGE_BYTES = 100_000
_GRACE_SECONDS = 90.0
_AUDIO_RATE = 48_000


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """Results of a disturbed run."""

    seconds: float
    faults: dict[str, int]
    """Number of faults by kind."""
    recovery: dict[str, float]
    """Longest time in seconds from the end of a fault to the next frame, by kind."""
    received: int
    """Frames that came out."""
    out_of_order: int
    memory: tuple[float, float, float]
    """MiB after a minute (or half of a shorter run), at most from then on, and at the end."""
    code: int | None
    """Exit code of the live run."""
    summary: dict[str, Any]
    notices: dict[str, int]
    """Number of notices by text, with digits replaced by #."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a recording that belong to one moment."""

    seconds: float
    """Time since the beginning."""
    data: bytes


@dataclass(slots=True)
class _State:
    """State that the threads at both ends share."""

    received: float = field(default_factory=time.monotonic)
    """Time of the last received frame."""
    pause: threading.Event = field(default_factory=threading.Event)
    """While it is set, the viewer reads nothing."""


def measure(load: Load, options: Sequence[str] = (), *, seed: int = 1) -> FaultFigures:
    """Play a clip with faults into a live run, and measure.

    Args:
        load: What to play.
        options: Further options of ``crsr-video live``.
        seed: Seed of the garbage.

    Raises:
        CrsrError: If the live run failed or printed no summary.
    """
    smaller = replace(load, width=load.width * 3 // 8 * 2, height=load.height * 3 // 8 * 2)
    recordings = [encode_recording(pictures(each), each.rate) for each in (load, smaller)]
    state = _State()
    player = _FaultyPlayer(recordings, load.seconds, state, seed=seed)
    process = LiveProcess(["--input-format", "mpegts", *options])

    def wait_while_paused(stop: threading.Event) -> None:
        while state.pause.is_set() and not stop.is_set():
            time.sleep(0.02)
        state.received = time.monotonic()

    viewer = Viewer({}, wait_while_paused)
    process.run(player.write, viewer.read, load.seconds + _GRACE_SECONDS)
    return FaultFigures(
        seconds=load.seconds,
        faults=dict(player.faults),
        recovery=player.recovery,
        received=viewer.frames,
        out_of_order=viewer.out_of_order,
        memory=_memory(process, min(60.0, load.seconds / 2)),
        code=process.code,
        summary=process.require_summary(),
        notices=dict(Counter(_without_digits(line) for line in process.notices)),
    )


class _FaultyPlayer:
    """Plays recordings, with one fault after another.

    Args:
        recordings: Recordings of different sizes, played in turn after each format change.
    """

    def __init__(
        self, recordings: Sequence[list[Piece]], seconds: float, state: _State, *, seed: int
    ) -> None:
        self._recordings = cycle(recordings)
        self._seconds, self._state = seconds, state
        self._random = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.recovery: dict[str, float] = {}
        self._last_fault: tuple[str, float] | None = None

    def write(self, pipe: IO[bytes], stop: threading.Event) -> None:
        """Write everything.

        Raises:
            OSError: If the reader of the pipe has ended.
        """
        begin = time.monotonic()
        recording = next(self._recordings)
        for kind in cycle(KINDS):
            self._play(recording, pipe, stop, _INTERVAL_SECONDS)
            if stop.is_set() or time.monotonic() - begin > self._seconds:
                break
            self.faults[kind] += 1
            if kind == "stall":
                stop.wait(_STALL_SECONDS)
            elif kind == "garbage":
                pipe.write(self._random.randbytes(_GARBAGE_BYTES))
            elif kind == "format change":
                recording = next(self._recordings)
            elif kind == "burst":
                burst = (piece.data for piece in recording if piece.seconds < _BURST_SECONDS)
                pipe.write(b"".join(burst))
            else:
                self._state.pause.set()
                self._play(recording, pipe, stop, _PAUSE_SECONDS)
                self._state.pause.clear()
            self._last_fault = kind, time.monotonic()
        self._state.pause.clear()

    def _play(
        self, pieces: list[Piece], pipe: IO[bytes], stop: threading.Event, seconds: float
    ) -> None:
        """Write a recording at its own pace, again and again."""
        begin, offset = time.monotonic(), 0.0
        while not stop.is_set():
            for piece in pieces:
                due = begin + offset + piece.seconds
                if due > begin + seconds or stop.wait(max(due - time.monotonic(), 0)):
                    return
                pipe.write(piece.data)
                pipe.flush()
                self._note_recovery()
            offset += pieces[-1].seconds

    def _note_recovery(self) -> None:
        if self._last_fault is None:
            return
        kind, ended = self._last_fault
        received = self._state.received
        if received > ended:
            self.recovery[kind] = max(self.recovery.get(kind, 0.0), received - ended)
            self._last_fault = None


def encode_recording(pictures: list[Bytes], rate: Fraction) -> list[Piece]:
    """Encode a transport stream with H.264 and a tone in AAC, in pieces of one frame.

    Args:
        pictures: Frames of yuv420p in the layout of PyAV.
        rate: Frames per second.
    """
    written = _Written()
    pieces: list[Piece] = []
    with av.open(written, "w", format="mpegts", options={"flush_packets": "1"}) as container:
        options = {"preset": "veryfast", "tune": "zerolatency", "crf": "20", "g": "30"}
        video = container.add_stream("libx264", rate=rate, options=options)
        video.width, video.height = video_size(pictures[0])
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=_AUDIO_RATE, layout="mono")
        tone = _tone(len(pictures) / float(rate))
        for index, picture in enumerate(pictures):
            seconds = index / float(rate)
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(video.encode(frame))
            while tone and (tone[0].pts or 0) / _AUDIO_RATE <= seconds:
                container.mux(audio.encode(tone.pop(0)))
            pieces.append(Piece(seconds, written.take()))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    pieces.append(Piece(len(pictures) / float(rate), written.take()))
    return pieces


class _Written(io.RawIOBase):
    """Keeps the bytes that a muxer writes until they are taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _tone(seconds: float) -> list[av.AudioFrame]:
    """440 Hz in frames of 1024 samples."""
    frames = []
    for start in range(0, int(seconds * _AUDIO_RATE), 1024):
        wave = 0.1 * np.sin(2 * np.pi * 440 / _AUDIO_RATE * np.arange(start, start + 1024))
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], "fltp", "mono")
        frame.sample_rate, frame.pts = _AUDIO_RATE, start
        frames.append(frame)
    return frames


def _memory(process: LiveProcess, after_seconds: float) -> tuple[float, float, float]:
    known = [s["memory_mib"] or 0.0 for s in process.statistics if s["seconds"] >= after_seconds]
    return (known[0], max(known), known[-1]) if known else (0.0, 0.0, 0.0)


def _without_digits(line: str) -> str:
    return "".join("#" if char.isdigit() else char for char in line)


def as_dict(figures: FaultFigures) -> dict[str, Any]:
    """The results for JSON."""
    return {
        "seconds": figures.seconds,
        "faults": figures.faults,
        "recovery_seconds": {kind: round(s, 2) for kind, s in figures.recovery.items()},
        "received": figures.received,
        "out_of_order": figures.out_of_order,
        "memory_mib": list(figures.memory),
        "code": figures.code,
        "summary": figures.summary,
        "notices": figures.notices,
    }


def as_text(figures: FaultFigures) -> str:
    """The results as lines of text."""
    summary, latency = figures.summary, figures.summary["latency"]
    faults = sum(figures.faults.values())
    lines = [
        f"{figures.seconds:.0f} s with {faults} faults; exit code {figures.code}",
        f"frames: {summary['frames_in']} in, {summary['frames_out']} out, "
        f"{summary['dropped']} dropped, {figures.received} received, "
        f"{figures.out_of_order} out of order",
        f"latency in ms: p50 {latency['p50_ms']:.1f}, p95 {latency['p95_ms']:.1f}",
        "memory in MiB: {:.0f} after a minute, {:.0f} at most, {:.0f} at the end".format(
            *figures.memory
        ),
    ]
    lines += [
        f"{kind}: {number} times, next frame after {figures.recovery.get(kind, 0.0):.2f} s"
        for kind, number in figures.faults.items()
    ]
    return "\n".join([*lines, *(f"{n} x {line}" for line, n in sorted(figures.notices.items()))])
