"""Figures of the networks as text: a Markdown table."""

from collections.abc import Mapping, Sequence

from crsr_video.bench.network_figures import NetworkFigures
from crsr_video.bench.table import table


def as_text(machine: Mapping[str, str], rows: Sequence[NetworkFigures]) -> str:
    """The table, and what must be said beside it."""
    compared = any(row.psnr is not None for row in rows)
    on_gpu = any(row.upload_ms is not None for row in rows)
    head = ["model", "computed by", "arithmetic", "crop", "batch", "ms", "CPU ms", "faces/s"]
    head += ["Mmac a face", "GFLOP/s", "peak", "share"]
    head += ["upload ms", "compute ms", "download ms", "transfers"] if on_gpu else []
    head += ["PSNR to fp32"] if compared else []
    lines = [
        [
            *(row.model, row.runner, row.precision, f"{row.side} px", f"{row.batch}"),
            *(f"{row.ms:.2f}", f"{row.cpu_ms:.2f}", f"{row.faces_per_second:.1f}"),
            *(f"{row.face_macs / 1e6:.0f}", f"{row.achieved / 1e9:.0f}"),
            *(f"{row.peak / 1e9:.0f}", f"{row.achieved / row.peak:.0%}"),
            *(_steps(row) if on_gpu else []),
            *([_decibels(row.psnr)] if compared else []),
        ]
        for row in rows
    ]
    where = ", ".join(f"{name} {value}" for name, value in machine.items())
    return "\n\n".join([where, table(head, lines, words=3), *_notes(rows)])


def _steps(row: NetworkFigures) -> list[str]:
    steps = (row.upload_ms, row.compute_ms, row.download_ms)
    if row.upload_ms is None:
        return ["-"] * 4
    return [*(f"{step:.2f}" for step in steps), f"{row.transfer_share:.0%}"]


def _decibels(psnr: float | None) -> str:
    return "-" if psnr is None else f"{psnr:.1f} dB"


def _notes(rows: Sequence[NetworkFigures]) -> list[str]:
    peaks = {row.precision: row.peak_kernel for row in rows}
    ways = {f"{row.model} by {row.runner}": row.way for row in rows}
    devices = {f"{row.device}, {row.threads} threads" for row in rows}
    notes = [
        f"Device: {'; '.join(sorted(devices))}.",
        "Peak: " + "; ".join(f"{name} by {kernel}" for name, kernel in peaks.items()) + ".",
        *(f"{who}: {way}." for who, way in ways.items()),
    ]
    held = max(row.device_bytes for row in rows)
    if held:
        notes.append(f"Memory of the GPU: {held / 2**20:.0f} MiB at most.")
    return notes
