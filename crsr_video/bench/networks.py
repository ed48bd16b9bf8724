"""The benchmark of the networks alone: they enhance batches of faces as in the pipeline."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crsr_video.bench import peak
from crsr_video.bench.case import (
    chain,
    device_name,
    device_peak_bytes,
    face_macs,
    precision_of,
    reset_device_peak,
    seconds_on,
    unused_pair,
)
from crsr_video.bench.clip import face_crops
from crsr_video.config import Config, Precision
from crsr_video.errors import BenchError
from crsr_video.formatting import markdown_table
from crsr_video.machine import machine_line
from crsr_video.runtime.loading import Networks, load_networks

_MIN_SECONDS = 0.05
"""Shortest timed interval. A small batch is repeated until it takes this long."""

Images = NDArray[np.float32]
"""(N, 3, S, S), RGB in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkBenchSettings:
    """Parameters of a measurement."""

    models: tuple[str, ...] = ("fast",)
    batches: tuple[int, ...] = (1, 8, 64)
    """Numbers of faces that are enhanced together."""
    sides: tuple[int, ...] = (64,)
    """Crop sizes in pixels, multiples of 4."""
    device: str = "auto"
    precision: Precision = "auto"
    runs: int = 5
    """Number of measurements. Results are medians."""


@dataclass(frozen=True, slots=True)
class NetworkFigures:
    """Results of one batch. Milliseconds are medians."""

    model: str
    method: str
    """How the networks are run."""
    precision: str
    """Precision at which these crops were computed: fp32, bf16, fp16 or int8."""
    device: str
    """Device of the networks: cpu, mps, or the name of a GPU."""
    threads: int
    side: int
    batch: int
    ms: float
    """Elapsed time from input to output arrays, including the copies to and from a GPU."""
    cpu_ms: float
    """CPU time of all threads."""
    compute_ms: float
    """Elapsed time on the device alone, without copies."""
    face_macs: int
    """Multiply-adds of both networks for one face."""
    achieved: float
    """Operations per second, as in `suite.NetworkSpeed`."""
    peak: float
    """Operations per second of the fastest product of large matrices at this precision."""
    peak_kernel: str
    device_bytes: int
    """Peak memory on the GPU, including the weights; 0 without a GPU."""

    @property
    def faces_per_second(self) -> float:
        """Faces per second of elapsed time."""
        return 1000 * self.batch / self.ms


def measure(
    settings: NetworkBenchSettings, *, on_batch: Callable[[str], None] = lambda _: None
) -> list[NetworkFigures]:
    """Measure every model, crop size and batch size.

    Args:
        settings: What to measure.
        on_batch: Called with the description of each measurement before it begins.
    """
    rows: list[NetworkFigures] = []
    for model in settings.models:
        config = Config.from_options(
            model=model, device=settings.device, precision=settings.precision
        )
        # Whole crops are comparable with other programs. The pipeline computes a part of them.
        networks = replace(load_networks(config), windowed=())
        predictors = networks.predictors()
        forward, method = chain(predictors), predictors.super_resolve.method
        limit = peak.measure(networks.placement.device, precision_of(method, networks.placement))
        for side in settings.sides:
            for batch in settings.batches:
                on_batch(f"{model}, {batch} x {side} px")
                with _memory_errors(batch, side, networks):
                    row = _measure(
                        model, networks, forward, method, limit, (batch, side), settings.runs
                    )
                rows.append(row)
    return rows


def _measure(
    model: str,
    networks: Networks,
    forward: Callable[[torch.Tensor], torch.Tensor],
    method: str,
    limit: peak.Peak,
    shape: tuple[int, int],
    runs: int,
) -> NetworkFigures:
    (batch, side), device = shape, networks.placement.device
    images = torch.from_numpy(face_crops(batch, side))
    reset_device_peak(device)

    def enhance() -> Images:
        result: Images = forward(images).cpu().numpy()
        return result

    enhance()  # This warms up.
    repeats = math.ceil(_MIN_SECONDS / max(_timed(enhance, 1)[0], 1e-6))
    times = [_timed(enhance, repeats) for _ in range(runs)]
    wall, cpu = (1000 * median(one) for one in zip(*times, strict=True))
    placed = images.to(device)
    compute = 1000 * median(seconds_on(device, forward, placed) for _ in range(runs))
    macs = face_macs(unused_pair(model), side, side)
    return NetworkFigures(
        model=model,
        method=method,
        precision=precision_of(method, networks.placement),
        device=device_name(device),
        threads=networks.placement.threads or torch.get_num_threads(),
        side=side,
        batch=batch,
        ms=wall,
        cpu_ms=cpu,
        compute_ms=compute,
        face_macs=macs,
        achieved=2 * macs * batch / ((cpu if device.type == "cpu" else compute) / 1000),
        peak=limit.rate,
        peak_kernel=limit.kernel,
        device_bytes=device_peak_bytes(device),
    )


def _timed(enhance: Callable[[], Images], repeats: int) -> tuple[float, float]:
    """Return the elapsed seconds and the CPU seconds of one batch."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        enhance()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall / repeats, max(cpu, 1e-9) / repeats


@contextmanager
def _memory_errors(batch: int, side: int, networks: Networks) -> Iterator[None]:
    """Raise BenchError if a batch does not fit into memory."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        device = device_name(networks.placement.device)
        text = f"{batch} crops of {side} pixels do not fit into the memory of {device}"
        raise BenchError(text) from error


def as_dict(row: NetworkFigures) -> dict[str, Any]:
    """Return a row for JSON, with derived values."""
    derived = {"faces_per_second": row.faces_per_second, "peak_share": row.achieved / row.peak}
    return asdict(row) | derived


def as_text(machine: Mapping[str, str], rows: Sequence[NetworkFigures]) -> str:
    """Return a table of the results, followed by notes."""
    header = ["model", "precision", "crop", "batch", "ms", "CPU ms", "computing ms", "faces/s"]
    header += ["Mmac per face", "GFLOP/s", "peak", "share"]
    lines = [
        [
            *(row.model, row.precision, f"{row.side} px", f"{row.batch}"),
            *(f"{ms:.2f}" for ms in (row.ms, row.cpu_ms, row.compute_ms)),
            *(f"{row.faces_per_second:.1f}", f"{row.face_macs / 1e6:.0f}"),
            *(f"{row.achieved / 1e9:.0f}", f"{row.peak / 1e9:.0f}"),
            f"{row.achieved / row.peak:.0%}",
        ]
        for row in rows
    ]
    table = markdown_table(header, lines, range(2))
    peaks = {row.precision: row.peak_kernel for row in rows}
    devices = {f"{row.device}, {row.threads} threads" for row in rows}
    notes = [
        f"Device: {'; '.join(sorted(devices))}.",
        "Peak: " + "; ".join(f"{name} by {kernel}" for name, kernel in peaks.items()) + ".",
        *(f"{name}: {method}." for name, method in {row.model: row.method for row in rows}.items()),
    ]
    device_bytes = max(row.device_bytes for row in rows)
    if device_bytes:
        notes.append(f"GPU memory: {device_bytes / 2**20:.0f} MiB at most.")
    return "\n\n".join([machine_line(dict(machine)), table, *notes])
