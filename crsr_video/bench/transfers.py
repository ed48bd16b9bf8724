"""Time of the copies between the processor's memory and a GPU."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from crsr_video.imaging.transfers import Transfers
from crsr_video.runtime.loading import Predictors

Images = NDArray[np.float32]
"""(N, 3, S, S), RGB in [0, 1]."""
Forward = Callable[[torch.Tensor], torch.Tensor]

_MAX_PENDING = 2
"""Results that may still be copied while the next batch is computed."""


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Milliseconds of one batch through both networks, with a wait after every step.

    In the pipeline, copies overlap with computing. The difference from the whole time is the gain
    of overlapping.
    """

    upload_ms: float
    compute_ms: float
    download_ms: float


def chain(predictors: Predictors, *, half: bool = False) -> Forward:
    """Both networks on tensors of their device, with values clipped between them."""
    second = predictors.super_resolve_half if half else predictors.super_resolve
    return lambda x: second(predictors.consistify(x).clamp(0, 1))


def measure_steps(forward: Forward, transfers: Transfers, images: Images, runs: int) -> StepTimes:
    """Measure upload, computing and download of one batch, and return the medians.

    Args:
        forward: Networks on the device.
        transfers: Transfers to the device and back.
        images: The batch.
        runs: Number of measurements after the first one, which only warms up.
    """
    times: list[tuple[float, float, float]] = []
    for _ in range(1 + runs):
        _wait(transfers.device)
        begin = time.perf_counter()
        tensor = upload(transfers, images)
        _wait(transfers.device)
        uploaded = time.perf_counter()
        result = forward(tensor)
        _wait(transfers.device)
        computed = time.perf_counter()
        transfers.download(result)()
        downloaded = time.perf_counter()
        times.append((uploaded - begin, computed - uploaded, downloaded - computed))
    return StepTimes(*(1000 * median(step) for step in zip(*times[1:], strict=True)))


def upload(transfers: Transfers, images: Images) -> torch.Tensor:
    """Copy a batch to the device."""
    host = transfers.host_memory(images.shape, torch.float32)
    host.numpy()[...] = images
    return transfers.upload(host)


def stream_batches(forward: Forward, transfers: Transfers, images: Images, count: int) -> Images:
    """Run the same batch several times, and copy each result while the next one is computed.

    Returns:
        The last result.
    """
    pending: deque[Callable[[], Images]] = deque()
    result = images
    for _ in range(count):
        pending.append(transfers.download(forward(upload(transfers, images))))
        if len(pending) > _MAX_PENDING:
            result = pending.popleft()()
    for finish in pending:
        result = finish()
    return result


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
