"""Peak throughput of a device at one precision, which no network can exceed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch

from crsr_video.errors import BenchError
from crsr_video.networks import onednn
from crsr_video.runtime.placement import DTYPES, INT8

_CPU_SIDE = 1024
"""Side of the matrices on a CPU. One core multiplies them in a few milliseconds."""
_GPU_SIDE = 8192
"""Side of the matrices on a GPU, which only large matrices keep fully busy."""
_PRODUCTS_PER_TIMING = 4


Multiply = Callable[[], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Peak:
    """Peak throughput of one device at one precision."""

    rate: float
    """Operations per second, where a multiply-add counts as two. The seconds are CPU time on a CPU,
    and elapsed time on a GPU."""
    kernel: str
    """Name of the function that reached this rate."""


@torch.inference_mode()
def measure(
    device: torch.device, precision: str, *, seconds: float = 0.4, side: int | None = None
) -> Peak:
    """Measure the throughput of the fastest function that multiplies two large square matrices.

    Args:
        device: CPU or GPU.
        precision: fp32, bf16, fp16 or int8.
        seconds: How long to multiply with each kernel.
        side: Side of the matrices; depends on the device by default.

    Raises:
        BenchError: If no kernel of this device supports the precision.
    """
    side = side or (_CPU_SIDE if device.type == "cpu" else _GPU_SIDE)
    found: list[Peak] = []
    with _same_rounding_as_convolutions(device):
        for name, multiply in kernels(device, precision, side).items():
            with suppress(RuntimeError):  # Not supported by this processor or build of torch.
                found.append(Peak(_best_rate(multiply, device, side, seconds), name))
    if not found:
        raise BenchError(f"nothing multiplies matrices of {precision} on {device.type} here")
    return max(found, key=lambda peak: peak.rate)


def kernels(device: torch.device, precision: str, side: int) -> dict[str, Multiply]:
    """Return functions that multiply two matrices, by name.

    On some processors `matmul` reaches half of the throughput of oneDNN, which runs the networks.
    """
    if precision == INT8:
        a = torch.randint(-127, 127, (side, side), dtype=torch.int8, device=device)
        return onednn.matrix_products(a)
    a = torch.randn(side, side, device=device).to(DTYPES[precision])
    found: dict[str, Multiply] = {"torch.matmul": lambda: a @ a}
    found |= onednn.matrix_products(a)
    return {f"{name} of {precision}": multiply for name, multiply in found.items()}


def _best_rate(multiply: Multiply, device: torch.device, side: int, seconds: float) -> float:
    """Return the best of many timings, because disturbances only make a product slower."""
    # Other processes may run at the same time, so on a CPU only this process's time counts.
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    multiply()[0, 0].item()
    best, end = 0.0, clock() + seconds
    while clock() < end:
        begin = clock()
        for _ in range(_PRODUCTS_PER_TIMING):
            product = multiply()
        product[0, 0].item()  # Waits for a GPU.
        operations = _PRODUCTS_PER_TIMING * 2 * side**3
        best = max(best, operations / max(clock() - begin, 1e-9))
    return best


@contextmanager
def _same_rounding_as_convolutions(device: torch.device) -> Iterator[None]:
    """Allow TF32 in matrix products if convolutions may use it, as only they may by default."""
    if device.type != "cuda" or not torch.backends.cudnn.allow_tf32:
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
