"""Live enhancement while things break: what it takes, and how soon it goes on.

A programme in MPEG-TS is played into it, and disturbed every few seconds in turn: the source falls
silent, bytes are replaced by noise, the picture changes its size, two seconds come at once, the
reader of the result pauses.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import IO, Any

import av

from crsr_video.bench.live import LiveChild, Load, pictures
from crsr_video.bench.pacing import Piece, programme
from crsr_video.errors import CrsrError

KINDS = ("stall", "garbage", "format change", "burst", "reader pause")
_EVERY = 9.0
"""Seconds of undisturbed play between two faults."""
_STALL, _PAUSE = 4.0, 4.0
"""Seconds."""
_GARBAGE = 100_000
"""Bytes."""
_GRACE = 90.0


@dataclass(slots=True)
class _Scene:
    """What the two ends know of each other."""

    received: float = field(default_factory=time.monotonic)
    """When the viewer got a picture last."""
    pause: threading.Event = field(default_factory=threading.Event)
    """Set: the viewer reads nothing."""


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """What came of it."""

    seconds: float
    faults: dict[str, int]
    """How often, by kind."""
    recovery: dict[str, float]
    """Longest time in seconds from the end of a fault to the next picture, by kind."""
    received: int
    """Pictures that came out."""
    out_of_order: int
    memory: tuple[float, float, float]
    """MiB after a minute (or half the run, if that is shorter), at most from then on, and at the
    end."""
    code: int | None
    """Exit code of the live run."""
    summary: dict[str, Any]
    told: dict[str, int]
    """What it told, and how often; figures in it left out."""


class Disturber:
    """Plays programmes, one fault after another.

    Args: programmes: of different sizes; the first is played first.
    """

    def __init__(
        self, programmes: Sequence[list[Piece]], seconds: float, scene: _Scene, *, seed: int
    ) -> None:
        self._programmes = cycle(programmes)
        self._seconds, self._scene = seconds, scene
        self._random = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.recovery: dict[str, float] = {}
        self._after: tuple[str, float] | None = None

    def write(self, out: IO[bytes], stop: threading.Event) -> None:
        """Send everything, faults and all.

        Raises: OSError: the reader has gone.
        """
        begin = time.monotonic()
        playing = next(self._programmes)
        for kind in cycle(KINDS):
            self._play(playing, out, stop, _EVERY)
            if stop.is_set() or time.monotonic() - begin > self._seconds:
                break
            self.faults[kind] += 1
            if kind == "stall":
                stop.wait(_STALL)
            elif kind == "garbage":
                out.write(self._random.randbytes(_GARBAGE))
            elif kind == "format change":
                playing = next(self._programmes)
            elif kind == "burst":
                out.write(b"".join(piece.data for piece in playing if piece.seconds < 2))
            else:
                self._scene.pause.set()
                self._play(playing, out, stop, _PAUSE)
                self._scene.pause.clear()
            self._after = kind, time.monotonic()
        self._scene.pause.clear()

    def _play(
        self, pieces: list[Piece], out: IO[bytes], stop: threading.Event, seconds: float
    ) -> None:
        """At its own pace, from its beginning, again and again."""
        begin, offset = time.monotonic(), 0.0
        length = pieces[-1].seconds
        while not stop.is_set():
            for piece in pieces:
                due = begin + offset + piece.seconds
                if due > begin + seconds or stop.wait(max(due - time.monotonic(), 0)):
                    return
                out.write(piece.data)
                out.flush()
                self._note()
            offset += length

    def _note(self) -> None:
        """Whether pictures come again after a fault."""
        if self._after is None:
            return
        kind, ended = self._after
        received = self._scene.received
        if received > ended:
            self.recovery[kind] = max(self.recovery.get(kind, 0.0), received - ended)
            self._after = None


class _Viewer:
    """Reads NUT, and pauses when it is told to."""

    def __init__(self, scene: _Scene) -> None:
        self._scene = scene
        self.frames = self.out_of_order = 0

    def read(self, source: IO[bytes], stop: threading.Event) -> None:
        last: float = -1
        with av.open(source, "r", format="nut") as container:
            for packet in container.demux(container.streams.video[0]):
                while self._scene.pause.is_set() and not stop.is_set():
                    time.sleep(0.02)
                if packet.pts is None:
                    continue
                self._scene.received = time.monotonic()
                self.frames += 1
                self.out_of_order += packet.pts <= last
                last = packet.pts


def measure(load: Load, options: Sequence[str] = (), *, seed: int = 1) -> FaultFigures:
    """Play with faults, and measure.

    Raises: CrsrError: the live run gave no figures.
    """
    other = replace(load, width=load.width * 3 // 8 * 2, height=load.height * 3 // 8 * 2)
    programmes = [programme(pictures(each), each.rate) for each in (load, other)]
    scene = _Scene()
    disturber = Disturber(programmes, load.seconds, scene, seed=seed)
    child = LiveChild(["--input-format", "mpegts", *options])
    viewer = _Viewer(scene)
    child.run(disturber.write, viewer.read, load.seconds + _GRACE)
    if child.summary is None:
        raise CrsrError(f"the live run gave no figures: {child.complaint}")
    return FaultFigures(
        seconds=load.seconds,
        faults=dict(disturber.faults),
        recovery=disturber.recovery,
        received=viewer.frames,
        out_of_order=viewer.out_of_order,
        memory=_memory(child, min(60.0, load.seconds / 2)),
        code=child.code,
        summary=child.summary,
        told=dict(Counter(_plain(line) for line in child.notices)),
    )


def _memory(child: LiveChild, after: float) -> tuple[float, float, float]:
    known = [s["memory_mib"] or 0.0 for s in child.statistics if s["seconds"] >= after]
    return (known[0], max(known), known[-1]) if known else (0.0, 0.0, 0.0)


def _plain(line: str) -> str:
    """A line without its figures, so that equal ones can be counted."""
    return "".join("#" if char.isdigit() else char for char in line)


def as_dict(figures: FaultFigures) -> dict[str, Any]:
    """Plain values, for JSON."""
    return {
        "seconds": figures.seconds,
        "faults": figures.faults,
        "recovery_seconds": {kind: round(s, 2) for kind, s in figures.recovery.items()},
        "received": figures.received,
        "out_of_order": figures.out_of_order,
        "memory_mib": list(figures.memory),
        "code": figures.code,
        "summary": figures.summary,
        "told": figures.told,
    }


def as_text(figures: FaultFigures) -> str:
    """A few lines for people."""
    told, latency = figures.summary, figures.summary["latency"]
    lines = [
        f"{figures.seconds:.0f} s with {sum(figures.faults.values())} faults; exit {figures.code}",
        f"frames: {told['frames_in']} in, {told['frames_out']} out, {told['dropped']} dropped, "
        f"{figures.received} received, {figures.out_of_order} out of order",
        f"latency ms: p50 {latency['p50_ms']:.1f}, p95 {latency['p95_ms']:.1f}",
        "memory MiB: {:.0f} after a minute, {:.0f} at most, {:.0f} at the end".format(
            *figures.memory
        ),
    ]
    lines += [
        f"{kind}: {number} times, next picture after {figures.recovery.get(kind, 0.0):.2f} s"
        for kind, number in figures.faults.items()
    ]
    return "\n".join([*lines, *(f"{n} x {line}" for line, n in sorted(figures.told.items()))])
