"""All cases, each in a process of its own."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from crsr_video.bench.case import Arithmetic, Case, CaseFigures, Figures, Speed, Startup
from crsr_video.bench.machine import machine
from crsr_video.errors import BenchError

_STARTUP_FRAMES = 40
_LONGEST = 3600.0
"""Seconds that a case may take."""


def run(
    cases: Iterable[Case],
    *,
    startup_runs: int = 0,
    on_case: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Measure.

    Args:   startup_runs: times that the start is measured; 0: not.
            on_case: told what comes next, in words.
    Raises: BenchError: a case failed.
    """
    from crsr_video.bench import clip

    done: list[CaseFigures] = []
    with tempfile.TemporaryDirectory(prefix="crsr-bench-") as folder:
        for case in cases:
            on_case(f"{case.size}, {case.faces} faces, {case.preset}")
            path = Path(folder, f"{case.size}-{case.faces}-{case.frames}.mp4")
            if not path.exists():
                width, height = clip.SIZES[case.size]
                clip.write(path, clip.Sample(width, height, case.faces, case.frames))
            done.append(_case(case, path))
        begun = None
        if startup_runs:
            on_case("start-up")
            begun = _startup(Path(folder, "startup.mp4"), startup_runs)
    return Figures(machine(), tuple(done), begun)


def _case(case: Case, clip: Path) -> CaseFigures:
    told = _child({"kind": "case", "case": asdict(case)}, clip)
    return CaseFigures(
        case=case,
        plain=Speed(**told["plain"]),
        enhanced=Speed(**told["enhanced"]),
        stages=told["stages"],
        enhanced_faces=told["enhanced_faces"],
        arithmetic=Arithmetic(**told["arithmetic"]),
        peak_bytes=told["peak_bytes"],
        device=told["device"],
        device_bytes=told["device_bytes"],
        transfer_ms=told["transfer_ms"],
        notices=tuple(told["notices"]),
    )


def _startup(path: Path, runs: int) -> Startup:
    from crsr_video.bench import clip

    clip.write(path, clip.Sample(640, 480, 1, _STARTUP_FRAMES))
    kinds = {"kind": "startup", "apart": False}, {"kind": "startup", "apart": True}
    told = [[_child(kind, path) for kind in kinds] for _ in range(runs)]
    names = told[0][1]["parts"]
    return Startup(
        total=median(whole["total"] for whole, _ in told),
        parts={name: median(parts["parts"][name] for _, parts in told) for name in names},
    )


def _child(job: dict[str, Any], clip: Path) -> dict[str, Any]:
    """Do a job in a new process.

    Raises: BenchError: it failed, with the last line that it wrote.
    """
    whole = {**job, "clip": str(clip), "spawned": time.time()}
    command = [sys.executable, "-m", "crsr_video.bench", json.dumps(whole)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"measuring took more than {_LONGEST:.0f} seconds") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        # The end of a traceback: the error's name, and what it says.
        raise BenchError(f"measuring failed: {lines[-1].partition(': ')[2] or lines[-1]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
