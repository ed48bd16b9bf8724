"""Benchmark of whole files: runs each case in its own process, and formats results as tables."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from crsr_video.bench import clip
from crsr_video.errors import BenchError
from crsr_video.formatting import markdown_table
from crsr_video.machine import machine, machine_line
from crsr_video.records import from_json, to_json

_PROGRAM = [sys.executable, "-m", "crsr_video"]
_STARTUP_FRAMES = 40
_TIMEOUT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class BenchCase:
    """One generated clip, enhanced with one set of options."""

    size: str
    """A key of `clip.SIZES`."""
    faces: int
    """Number of faces in every frame, from 0 to 4."""
    preset: str
    frames: int
    model: str
    runs: int
    """Number of measurements. Results are medians."""
    device: str = "auto"
    precision: str = "auto"
    hwaccel: str = "none"
    """Kind of hardware device that decodes the clip, both for enhancing and for transcoding."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Time per frame, in milliseconds, of one way to process a clip."""

    wall_ms: float
    cpu_ms: float
    """CPU time of all threads."""

    @property
    def fps(self) -> float:
        """Frames per second, end to end."""
        return 1000 / self.wall_ms


@dataclass(frozen=True, slots=True)
class NetworkSpeed:
    """Throughput of both networks inside the pipeline."""

    precision: str
    """The precision of the super-resolver: fp32, bf16, fp16 or int8."""
    crop: int
    """The most frequent crop size in pixels, or 0 without faces."""
    face_macs: float
    """Multiply-adds of both networks for a face, on average."""
    achieved: float
    """Operations per second, two for a multiply-add: per second of CPU time on a CPU, and per
    second of elapsed time on a GPU."""
    peak: float
    """Operations per second of the fastest large matrix product."""
    peak_kernel: str = ""
    """Functions that multiplied the matrices."""
    method: str = ""
    """How the super-resolver is run."""


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """Medians over the runs of one case."""

    case: BenchCase
    plain: Speed
    """Decoding and encoding alone, by the same code with the same settings."""
    enhanced: Speed
    stages: dict[str, float]
    """CPU milliseconds per frame of each stage, measured alone with codecs on one thread."""
    enhanced_faces: float
    networks: NetworkSpeed
    peak_bytes: int
    """Largest memory of the process, or 0 if the system does not report it."""
    device: str = "cpu"
    """Device of the networks: cpu, mps, or the name of a GPU."""
    device_bytes: int = 0
    """Largest memory on the GPU, or 0 without one."""
    notices: tuple[str, ...] = ()
    """Notices of the decoder, for instance that a device is missing."""

    @property
    def slowdown(self) -> float:
        """Time of enhancing divided by that of plain transcoding."""
        return self.enhanced.wall_ms / self.plain.wall_ms

    @property
    def cpu_ratio(self) -> float:
        """CPU time of enhancing divided by that of plain transcoding."""
        return self.enhanced.cpu_ms / self.plain.cpu_ms


@dataclass(frozen=True, slots=True)
class Startup:
    """Start-up times of the program in seconds."""

    help_seconds: float
    """Run time of ``crsr-video --help``."""
    first_frame_seconds: float
    """Time from the start of ``crsr-video enhance`` to the first enhanced frame of 640x480."""


@dataclass(frozen=True, slots=True)
class BenchFigures:
    """Results of a benchmark."""

    machine: dict[str, str]
    cases: tuple[CaseFigures, ...]
    startup: Startup | None = None


# Measuring ---------------------------------------------------------------------------------------


def run(
    cases: Iterable[BenchCase],
    *,
    startup_runs: int = 0,
    on_case: Callable[[str], None] = lambda _: None,
) -> BenchFigures:
    """Measure cases and start-up times.

    Args:
        cases: Cases in the order of measurement.
        startup_runs: How often to measure the start, or 0 to leave it out.
        on_case: Called with the description of each measurement before it begins.

    Raises:
        BenchError: If a measurement failed.
    """
    results: list[CaseFigures] = []
    startup = None
    with tempfile.TemporaryDirectory(prefix="crsr-bench-") as name:
        folder = Path(name)
        for case in cases:
            faces = "1 face" if case.faces == 1 else f"{case.faces} faces"
            on_case(f"{case.size}, {faces}, {case.preset}")
            path = folder / f"{case.size}-{case.faces}-{case.frames}.mp4"
            if not path.exists():
                clip.write(
                    path, clip.ClipProperties(*clip.SIZES[case.size], case.faces, case.frames)
                )
            results.append(_measure_in_child(case, path))
        if startup_runs:
            on_case("start-up")
            path = folder / "startup.mp4"
            clip.write(path, clip.ClipProperties(640, 480, 1, _STARTUP_FRAMES))
            startup = measure_startup(path, startup_runs)
    return BenchFigures(machine(), tuple(results), startup)


def measure_startup(path: Path, runs: int) -> Startup:
    """Measure start-up times of the program on a video with a face, and return the medians."""
    pairs = [(_help_seconds(), _first_frame_seconds(path)) for _ in range(runs)]
    return Startup(*(median(times) for times in zip(*pairs, strict=True)))


def _help_seconds() -> float:
    begin = time.perf_counter()
    subprocess.run([*_PROGRAM, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def _first_frame_seconds(path: Path) -> float:
    output = path.with_suffix(".out.mp4")
    command = [*_PROGRAM, "enhance", str(path), "-o", str(output), "--overwrite", "--json"]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "progress":
                    return time.perf_counter() - begin
        finally:
            process.kill()
    raise BenchError("measuring failed: no frame was enhanced")


def _measure_in_child(case: BenchCase, path: Path) -> CaseFigures:
    """Measure a case in a new process, whose memory and caches belong to it alone."""
    job = json.dumps({"case": to_json(case), "clip": str(path)})
    command = [*_PROGRAM, "bench", "case", job]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"measuring took more than {_TIMEOUT_SECONDS:.0f} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchError(f"measuring failed: {last.rpartition('error: ')[2]}")
    return from_json(CaseFigures, json.loads(done.stdout.splitlines()[-1]))


def measure_job(job: str) -> dict[str, Any]:
    """Measure one case in this process, which `_measure_in_child` has started.

    Args:
        job: Case and path of the clip, as JSON.

    Returns:
        The results as JSON types.
    """
    from crsr_video.bench import case

    values = json.loads(job)
    found: dict[str, Any] = to_json(
        case.measure(from_json(BenchCase, values["case"]), Path(values["clip"]))
    )
    return found


# Tables ------------------------------------------------------------------------------------------

_NAMES = ["size", "faces", "preset"]
_WORDS = range(len(_NAMES))


def as_text(figures: BenchFigures) -> str:
    """All results as tables."""
    parts = [machine_line(figures.machine)]
    cases = figures.cases
    if cases:
        parts += [
            "End to end: frames per second and CPU milliseconds per frame, of plain transcoding"
            " and with faces enhanced.",
            _speed_table(cases),
            "CPU milliseconds per frame of each stage alone (codecs on one thread).",
            _stage_table(cases),
            "Networks and memory.",
            _network_table(cases),
        ]
        parts += dict.fromkeys(text for one in cases for text in one.notices)
    if figures.startup is not None:
        parts.append(
            f"Start-up: {figures.startup.help_seconds:.2f} s for --help,"
            f" {figures.startup.first_frame_seconds:.2f} s to the first enhanced frame of a"
            " 640x480 file."
        )
    return "\n\n".join(parts)


def _case_cells(one: CaseFigures) -> list[str]:
    return [one.case.size, str(one.case.faces), one.case.preset]


def _speed_table(cases: Sequence[CaseFigures]) -> str:
    header = [*_NAMES, "plain fps", "enhanced fps", "time", "plain CPU", "enhanced CPU", "CPU"]
    rows = [
        [
            *_case_cells(one),
            f"{one.plain.fps:.1f}",
            f"{one.enhanced.fps:.1f}",
            f"{one.slowdown - 1:+.0%}",
            f"{one.plain.cpu_ms:.1f}",
            f"{one.enhanced.cpu_ms:.1f}",
            f"{one.cpu_ratio - 1:+.0%}",
        ]
        for one in cases
    ]
    return markdown_table(header, rows, _WORDS)


def _stage_table(cases: Sequence[CaseFigures]) -> str:
    names = list(dict.fromkeys(name for one in cases for name in one.stages))
    rows = [
        [*_case_cells(one), *(f"{one.stages.get(name, 0.0):.2f}" for name in names)]
        for one in cases
    ]
    return markdown_table([*_NAMES, *names], rows, _WORDS)


def _network_table(cases: Sequence[CaseFigures]) -> str:
    on_gpu = any(one.device_bytes for one in cases)
    header = [*_NAMES, "enhanced per frame", "crop", "precision", "Mmac per face"]
    header += ["GFLOP/s", "peak", "share", "memory"]
    header += ["GPU memory"] if on_gpu else []
    rows = []
    for one in cases:
        networks = one.networks
        row = [
            *_case_cells(one),
            f"{one.enhanced_faces:.2f}",
            f"{networks.crop} px",
            networks.precision,
            f"{networks.face_macs / 1e6:.0f}",
            f"{networks.achieved / 1e9:.0f}",
            f"{networks.peak / 1e9:.0f}",
            f"{networks.achieved / networks.peak:.0%}",
            f"{one.peak_bytes / 2**20:.0f} MiB" if one.peak_bytes else "?",
        ]
        if on_gpu:
            row.append(f"{one.device_bytes / 2**20:.0f} MiB" if one.device_bytes else "-")
        rows.append(row)
    return markdown_table(header, rows, _WORDS)
