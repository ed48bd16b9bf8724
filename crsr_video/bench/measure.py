"""Measure one case, in the process that is here."""

import sys
from pathlib import Path
from statistics import median

import numpy as np
import torch

from crsr_video.bench import passes, transfers
from crsr_video.bench.arithmetic import arithmetic
from crsr_video.bench.case import Case, CaseFigures, Speed
from crsr_video.pipeline import Networks, load_networks

_BATCH = 16
"""Crops that the pipeline gives a GPU together."""


def measure(case: Case, clip: Path) -> CaseFigures:
    """All figures of one case; plain and enhanced runs take turns.

    Raises: CrsrError: the clip cannot be enhanced.
    """
    networks = load_networks(passes.config(case))
    device = networks.placement.device
    plain, enhanced, apart = [], [], []
    for _ in range(case.runs):
        plain.append(passes.plain(case, clip))
        enhanced.append(passes.enhanced(case, clip, networks))
    held, held_there = _held(), device_bytes(device)
    for _ in range(case.runs):
        apart.append(passes.apart(case, clip, networks))
    stages = {part: median(one.stages[part] for one in apart) for part in apart[0].stages}
    computing = _computing_ms(networks, apart[0], case.runs)
    return CaseFigures(
        case=case,
        plain=_median(plain),
        enhanced=_median(enhanced),
        stages=stages,
        enhanced_faces=apart[0].crops.total() / apart[0].frames,
        arithmetic=arithmetic(case.model, networks, apart[0], computing),
        peak_bytes=held,
        device=name_of(device),
        device_bytes=held_there,
        transfer_ms=_copied_ms(case, clip, networks, apart[0].frames),
        notices=passes.notices(case, clip),
    )


def name_of(device: torch.device) -> str:
    """A GPU's own name; of all else, the kind."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def device_bytes(device: torch.device) -> int:
    """Most bytes of a GPU's memory that tensors took in this process since they were forgotten."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def forget_device_bytes(device: torch.device) -> None:
    """Begin anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _computing_ms(networks: Networks, apart: passes.Apart, runs: int) -> float:
    """What a GPU computes for all crops, copies left out; 0 without one."""
    device = networks.placement.device
    if device.type != "cuda":
        return 0.0
    pair, total = networks.pair, 0.0
    first, second = (networks.predictor(n) for n in (pair.consistifier, pair.superresolver))
    for side, count in apart.crops.items():
        batch = min(count, _BATCH)
        images = np.zeros((batch, 3, side, side), np.float32)
        found = transfers.measure(transfers.chained(first, second), device, images, runs)
        total += found.compute_ms / batch * count
    return total


def _copied_ms(case: Case, clip: Path, networks: Networks, frames: int) -> float | None:
    """A frame, of a whole enhanced pass; 0 without a GPU, None if it does not say."""
    if networks.placement.device.type != "cuda":
        return 0.0
    found = transfers.copied_ms(lambda: passes.enhanced(case, clip, networks))
    return None if found is None else found / frames


def _median(speeds: list[Speed]) -> Speed:
    return Speed(median(s.wall_ms for s in speeds), median(s.cpu_ms for s in speeds))


def _held() -> int:
    """Most bytes that this process has held; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
