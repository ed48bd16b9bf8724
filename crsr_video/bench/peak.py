"""The most that a device multiplies in an arithmetic: what networks cannot exceed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch

from crsr_video.errors import BenchError
from crsr_video.runtime.devices import EIGHT_BITS

_SIDE = {"cpu": 1024}
"""Of the matrices; their product takes a core some milliseconds."""
_SIDE_ELSEWHERE = 8192
"""The same on a GPU, which has to be filled."""
_SECONDS = 0.4
"""For which they are multiplied."""
_TOGETHER = 4
"""Products between two looks at the clock."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Multiply = Callable[[], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Peak:
    """Of one device in one arithmetic."""

    rate: float
    """Floating-point operations a second (in int8, likewise, two for a multiply-add), of CPU time
    or, on a GPU, of time."""
    kernel: str
    """What was faster, if there are several ways to multiply, in words."""


@torch.inference_mode()
def measure(device: torch.device, precision: str) -> Peak:
    """The fastest product of two large square matrices.

    Args:   precision: fp32, bf16, fp16 or int8.
    Raises: KeyError: another precision. BenchError: nothing here multiplies in this one.
    """
    side = _SIDE.get(device.type, _SIDE_ELSEWHERE)
    make = _of_bytes if precision == EIGHT_BITS else _of_floats
    found: list[Peak] = []
    with _as_convolutions_round(device):
        for kernel, multiply in make(device, precision, side):
            with suppress(RuntimeError):  # the processor, or this build, cannot
                found.append(Peak(_rate(multiply, device, side), kernel))
    if not found:
        raise BenchError(f"nothing multiplies matrices of {precision} on {device.type} here")
    return max(found, key=lambda peak: peak.rate)


# But for `matmul`, no way is part of torch's stable interface: one that is missing is left out.


def _of_floats(device: torch.device, precision: str, side: int) -> Iterator[tuple[str, Multiply]]:
    a = torch.randn(side, side, device=device).to(_DTYPES[precision])
    yield f"torch.matmul of {precision}", lambda: a @ a
    # On some processors the library behind `matmul` leaves half of what oneDNN gets; the networks
    # run on oneDNN.
    if device.type == "cpu" and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        yield (
            f"mkldnn._linear_pointwise of {precision}",
            lambda: torch.ops.mkldnn._linear_pointwise(a, a, None, "none", [], ""),
        )


def _of_bytes(device: torch.device, _: str, side: int) -> Iterator[tuple[str, Multiply]]:
    a = torch.randint(-127, 127, (side, side), dtype=torch.int8, device=device)
    if hasattr(torch, "_int_mm"):
        yield "torch._int_mm", lambda: torch._int_mm(a, a)
    if device.type == "cpu" and hasattr(torch.ops.onednn, "qlinear_prepack"):
        codes = torch.randint(0, 255, (side, side), dtype=torch.uint8)
        packed = torch.ops.onednn.qlinear_prepack(a, [side, side])
        scales, zeros = torch.ones(side), torch.zeros(side, dtype=torch.int64)
        result: tuple[object, ...] = (1000.0, 0, torch.uint8, "none", [], "")
        yield (
            "onednn.qlinear_pointwise",
            lambda: torch.ops.onednn.qlinear_pointwise(
                codes, 1.0, 0, packed, scales, zeros, None, *result
            ),
        )


def _rate(multiply: Multiply, device: torch.device, side: int) -> float:
    """The best of many turns, since nothing that disturbs makes a product faster."""
    clock = clock_of(device)
    multiply()[0, 0].item()
    best, end = 0.0, clock() + _SECONDS
    while clock() < end:
        begin = clock()
        for _ in range(_TOGETHER):
            product = multiply()
        product[0, 0].item()  # waits for a GPU
        best = max(best, _TOGETHER * 2 * side**3 / max(clock() - begin, 1e-9))
    return best


def clock_of(device: torch.device) -> Callable[[], float]:
    """CPU time where the processor computes, since others may have it meanwhile; time elsewhere."""
    return time.process_time if device.type == "cpu" else time.perf_counter


@contextmanager
def _as_convolutions_round(device: torch.device) -> Iterator[None]:
    """On NVIDIA's GPUs convolutions of fp32 may round to TF32; by default products may not."""
    if device.type != "cuda" or not torch.backends.cudnn.allow_tf32:
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
