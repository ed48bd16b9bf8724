"""The benchmark of the networks alone: they enhance batches of faces as in the pipeline."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch

from crsr_video.bench import backends, peak, transfers
from crsr_video.bench.backends import BenchBackend, Images
from crsr_video.bench.case import (
    device_name,
    device_peak_bytes,
    face_macs,
    reset_device_peak,
    unused_pair,
)
from crsr_video.bench.clip import face_crops
from crsr_video.config import Config, Precision
from crsr_video.errors import BenchError
from crsr_video.export.modules import reference
from crsr_video.formatting import markdown_table
from crsr_video.imaging.psnr import psnr
from crsr_video.runtime.loading import Networks, load_networks
from crsr_video.versions import machine_line

_MIN_SECONDS = 0.05
"""Shortest timed interval. A small batch is repeated until it takes this long."""
_MIN_STREAMED_BATCHES = 8
"""Least number of batches in one timing on a GPU, so that copies and computation overlap."""
_COMPARED_FACES = 4
"""Number of faces of each batch that are compared with the result at fp32."""


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
    against: tuple[str, ...] = ()
    """Names in `backends.OTHERS`."""


@dataclass(frozen=True, slots=True)
class NetworkFigures:
    """Results of one batch. Milliseconds are medians."""

    model: str
    runner: str
    """`backends.OWN`, or the name of another program."""
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
    """Elapsed time from input to output arrays. On a GPU, copies overlap with other batches."""
    cpu_ms: float
    """CPU time of all threads."""
    face_macs: int
    """Multiply-adds of both networks for one face."""
    achieved: float
    """Operations per second, as in `figures.NetworkSpeed`."""
    peak: float
    """Operations per second of the fastest product of large matrices at this precision."""
    peak_kernel: str
    upload_ms: float | None
    """Time of the copy to the GPU, measured alone; None without a GPU."""
    compute_ms: float | None
    download_ms: float | None
    device_bytes: int
    """Peak memory on the GPU, including the weights; 0 without a GPU."""
    psnr: float | None
    """PSNR in dB against the result at fp32, or None if there is only one backend."""

    @property
    def faces_per_second(self) -> float:
        """Faces per second of elapsed time."""
        return 1000 * self.batch / self.ms

    @property
    def transfer_share(self) -> float:
        """Time of the copies as a share of the time of all steps; 0 without a GPU."""
        up, compute, down = (
            step or 0.0 for step in (self.upload_ms, self.compute_ms, self.download_ms)
        )
        return (up + down) / max(up + compute + down, 1e-9)


def measure(
    settings: NetworkBenchSettings, *, on_batch: Callable[[str], None] = lambda _: None
) -> list[NetworkFigures]:
    """Measure every model, crop size and batch size. The backends take turns.

    Args:
        settings: What to measure.
        on_batch: Called with the description of each measurement before it begins.
    """
    rows: list[NetworkFigures] = []
    peaks: dict[str, peak.Peak] = {}
    for model in settings.models:
        config = Config.from_options(
            model=model, device=settings.device, precision=settings.precision
        )
        # Other programs compute whole crops, so the networks do too. The pipeline computes a part.
        networks = replace(load_networks(config), windowed=())
        texture = config.networks.texture
        with backends.other_backends(settings.against, model, networks, texture) as others:
            compared = [backends.own_backend(networks), *others]
            comparison = _Comparison(model, networks, compared, peaks)
            for side in settings.sides:
                for batch in settings.batches:
                    on_batch(f"{model}, {batch} x {side} px")
                    with _memory_errors(batch, side, networks):
                        rows += comparison.measure(side, batch, settings.runs)
    return rows


class _Comparison:
    """One model, run by several backends.

    Args:
        peaks: Known peaks by precision; new ones are added.
    """

    def __init__(
        self,
        model: str,
        networks: Networks,
        compared: list[BenchBackend],
        peaks: dict[str, peak.Peak],
    ) -> None:
        self._model, self._networks, self._compared = model, networks, compared
        self._device, self._peaks = networks.placement.device, peaks
        self._plain = unused_pair(model)

    def measure(self, side: int, batch: int, runs: int) -> list[NetworkFigures]:
        images = face_crops(batch, side)
        reset_device_peak(self._device)
        results = [backend.run(images) for backend in self._compared]  # This also warms up.
        repeats = [_repeats(backend, images) for backend in self._compared]
        times: list[list[tuple[float, float]]] = [[] for _ in self._compared]
        for _ in range(runs):
            for backend, found, count in zip(self._compared, times, repeats, strict=True):
                found.append(_timed(backend, images, count))
        several = len(self._compared) > 1
        return [
            self._row(backend, images, found, self._psnr(images, result) if several else None)
            for backend, found, result in zip(self._compared, times, results, strict=True)
        ]

    def _row(
        self,
        backend: BenchBackend,
        images: Images,
        times: list[tuple[float, float]],
        psnr: float | None,
    ) -> NetworkFigures:
        batch, side = len(images), images.shape[-1]
        wall, cpu = (1000 * median(one) for one in zip(*times, strict=True))
        macs = face_macs(self._plain, side, side)
        device_bytes = device_peak_bytes(self._device)
        precision = backend.precision
        limit = self._peak(precision)
        spent_ms = cpu if self._device.type == "cpu" else wall
        steps = None
        if backend.stream is not None:
            steps = transfers.measure_steps(
                backend.stream.forward, backend.stream.transfers, images, len(times)
            )
        return NetworkFigures(
            model=self._model,
            runner=backend.name,
            method=backend.method,
            precision=precision,
            device=device_name(self._device),
            threads=backends.threads_of(self._networks),
            side=side,
            batch=batch,
            ms=wall,
            cpu_ms=cpu,
            face_macs=macs,
            achieved=2 * macs * batch / (spent_ms / 1000),
            peak=limit.rate,
            peak_kernel=limit.kernel,
            upload_ms=steps.upload_ms if steps else None,
            compute_ms=steps.compute_ms if steps else None,
            download_ms=steps.download_ms if steps else None,
            device_bytes=device_bytes,
            psnr=psnr,
        )

    def _peak(self, precision: str) -> peak.Peak:
        if precision not in self._peaks:
            self._peaks[precision] = peak.measure(self._device, precision)
        return self._peaks[precision]

    @torch.inference_mode()
    def _psnr(self, images: Images, result: Images) -> float:
        few = torch.from_numpy(images[:_COMPARED_FACES])
        expected = reference(self._plain, "pair", few).clamp(0, 1)
        return float(psnr(torch.from_numpy(result[:_COMPARED_FACES]), expected).mean())


def _timed(backend: BenchBackend, images: Images, repeats: int) -> tuple[float, float]:
    """Return the elapsed seconds and the CPU seconds of one batch."""
    wall, cpu = time.perf_counter(), time.process_time()
    backend.run_many(images, repeats)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall / repeats, max(cpu, 1e-9) / repeats


def _repeats(backend: BenchBackend, images: Images) -> int:
    seconds, _ = _timed(backend, images, 1)
    least = 1 if backend.stream is None else _MIN_STREAMED_BATCHES
    return max(least, math.ceil(_MIN_SECONDS / max(seconds, 1e-6)))


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


# Output ------------------------------------------------------------------------------------------


def as_dict(row: NetworkFigures) -> dict[str, Any]:
    """Return a row for JSON, with derived values."""
    return asdict(row) | {
        "faces_per_second": row.faces_per_second,
        "peak_share": row.achieved / row.peak,
        "transfer_share": row.transfer_share,
    }


def as_text(machine: Mapping[str, str], rows: Sequence[NetworkFigures]) -> str:
    """Return a table of the results, followed by notes."""
    compared = any(row.psnr is not None for row in rows)
    on_gpu = any(row.upload_ms is not None for row in rows)
    header = ["model", "computed by", "precision", "crop", "batch", "ms", "CPU ms", "faces/s"]
    header += ["Mmac per face", "GFLOP/s", "peak", "share"]
    header += ["upload ms", "compute ms", "download ms", "transfers"] if on_gpu else []
    header += ["PSNR to fp32"] if compared else []
    lines = [
        [
            *(row.model, row.runner, row.precision, f"{row.side} px", f"{row.batch}"),
            *(f"{row.ms:.2f}", f"{row.cpu_ms:.2f}", f"{row.faces_per_second:.1f}"),
            *(f"{row.face_macs / 1e6:.0f}", f"{row.achieved / 1e9:.0f}"),
            *(f"{row.peak / 1e9:.0f}", f"{row.achieved / row.peak:.0%}"),
            *(_step_cells(row) if on_gpu else []),
            *([f"{row.psnr:.1f} dB" if row.psnr is not None else "-"] if compared else []),
        ]
        for row in rows
    ]
    table = markdown_table(header, lines, range(3))
    return "\n\n".join([machine_line(dict(machine)), table, *_notes(rows)])


def _step_cells(row: NetworkFigures) -> list[str]:
    if row.upload_ms is None:
        return ["-"] * 4
    steps = (row.upload_ms, row.compute_ms, row.download_ms)
    return [*(f"{step:.2f}" for step in steps), f"{row.transfer_share:.0%}"]


def _notes(rows: Sequence[NetworkFigures]) -> list[str]:
    peaks = {row.precision: row.peak_kernel for row in rows}
    methods = {f"{row.model} by {row.runner}": row.method for row in rows}
    devices = {f"{row.device}, {row.threads} threads" for row in rows}
    notes = [
        f"Device: {'; '.join(sorted(devices))}.",
        "Peak: " + "; ".join(f"{name} by {kernel}" for name, kernel in peaks.items()) + ".",
        *(f"{name}: {method}." for name, method in methods.items()),
    ]
    device_bytes = max(row.device_bytes for row in rows)
    if device_bytes:
        notes.append(f"GPU memory: {device_bytes / 2**20:.0f} MiB at most.")
    return notes
